"""E-prop: errors of each step, times how far a synapse has moved its own unit's state."""

from dataclasses import dataclass

from brainalign.rules.eligibility import EligibilityRule


@dataclass(frozen=True)
class EProp(EligibilityRule):
    r"""E-prop (Bellec et al. 2020), on any recurrent network that knows each unit's own dynamics.

    .. math::
        \Delta W_{ji} = -\eta \sum_t L_j(t)\, \frac{\partial r_j(t)}{\partial s_j(t)} \epsilon_{ji}(t), \qquad
        \epsilon_{ji}(t) = \frac{\partial s_j(t)}{\partial s_j(t-1)} \epsilon_{ji}(t-1)
        + \frac{\partial s_j(t)}{\partial u_j(t)} r_i(t-1), \qquad L(t) = B \varepsilon_t

    s are a unit's hidden variables: of leaky rate units their rate, so that the rule is `RFLO`; of spiking
    units the potential, the adaptation, and the filtered spikes that are read out. With the error that each
    unit's output truly causes, at all later times, in place of L, the sum is backprop's through time (eq. 1); L
    is what of it is known at once. :math:`\varepsilon_t` is the error of the outputs at that step, through the
    body but not through the network; what the cost holds of the rates themselves is added to
    :math:`B \varepsilon_t`.

    Parameters
    ----------
    symmetric
        Whether errors come back through the read-out's own weights, rather than through fixed random ones,
        which are drawn once, Gaussian, with the standard deviation of the read-out's.
    """

    name = "e_prop"
    feedback = "each step's output error through fixed random weights"
    locality = "the unit's error, and how far the synapse has moved the unit's hidden variables"
    source = "Bellec et al. 2020, Nat Commun 11:3625"
