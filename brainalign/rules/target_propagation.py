"""Target propagation: a layer's target is what an inverse makes of the target of the layer above."""

from dataclasses import dataclass

from torch import Tensor

from brainalign.rules.target_rule import Passed, TargetRule


@dataclass(frozen=True)
class TargetPropagation(TargetRule):
    r"""Target propagation (Bengio 2014), on a plain stack of layers.

    .. math::
        \hat h_L = h_L - \alpha\, \partial C / \partial h_L, \qquad
        \hat h_l = g_{l+1}(\hat h_{l+1}), \qquad
        \Delta W_l = -\frac{\eta}{\alpha}\, \big((h_l - \hat h_l) \circ f'(a_l)\big) h_{l-1}^\top

    The inverses learn as noisy auto-encoders, by the gradient of
    :math:`\lVert g_l(f_l(h_{l-1} + \epsilon)) - (h_{l-1} + \epsilon) \rVert^2 / \sigma^2`. An inverse that is
    not exact makes targets that differ from the answers even where the outputs are right, and the factor 1/α
    makes that part of the update as large as α is small; `difference_target_propagation` takes it out. So α
    is 1 here, which is this library's choice; the rates are those of difference target propagation.
    """

    target_step: float = 1.0

    name = "target_propagation"
    feedback = "targets through learnt inverses, layer by layer"
    locality = "pre- and postsynaptic activity, and the postsynaptic unit's target"
    passes = 6.0
    source = "Bengio 2014, arXiv:1407.7906; Lee et al. 2015, ECML; inverses' loss as there"
    optimizer = "adam:lr=6.19e-5"

    def target_below(self, passed: Passed, place: int, target: Tensor, error: Tensor) -> Tensor:
        """Give what the inverse makes of the target."""
        return passed.inverses[place](target, passed.answers[place])
