"""Random feedback local online learning: errors through random weights, times what a synapse remembers."""

from dataclasses import dataclass

from torch import nn

from brainalign.rules.eligibility import EligibilityRule
from brainalign.rules.recurrent_trials import check_steps, leaky_network
from brainalign.tasks.task import Task


@dataclass(frozen=True)
class RFLO(EligibilityRule):
    r"""Random feedback local online learning (Murray 2019, eqs. 5 and 6), on leaky rate units.

    .. math::
        \Delta W_{ab} = -\eta \sum_t [B \varepsilon_t]_a\, p_{ab}(t), \qquad
        p_{ab}(t) = (1 - \alpha)\, p_{ab}(t-1) + \alpha f'(u_a(t))\, h_b(t-1), \qquad
        \Delta W_{out} = -\eta \sum_t \varepsilon_t h_t^\top

    It is real-time recurrent learning without what a synapse does through other units. With B the transpose of
    the read-out's weights (`symmetric`) that is all that is left out: without recurrent weights the two are
    equal. :math:`\varepsilon_t` is the error of the outputs at that step, through the body but not through the
    network; what the cost holds of the rates themselves is added to :math:`B \varepsilon_t`. Inputs and biases
    learn as W does.

    Parameters
    ----------
    symmetric
        Whether errors come back through the read-out's own weights, rather than through fixed random ones,
        which are drawn once, Gaussian, with the standard deviation of the read-out's.
    """

    name = "rflo"
    feedback = "each step's output error through fixed random weights"
    locality = "the unit's error, and a trace of presynaptic rate times the unit's slope"
    source = "Murray 2019, eLife 8:e43299"

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the units are leaky rate units, and errors are of outputs and rates."""
        leaky_network(self.name, network)
        check_steps(self.name, task)
