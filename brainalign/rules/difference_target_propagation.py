"""Difference target propagation: what an inverse makes of the target, less what it makes of the answer."""

from dataclasses import dataclass

from torch import Tensor

from brainalign.rules.target_rule import Passed, TargetRule


@dataclass(frozen=True)
class DifferenceTargetPropagation(TargetRule):
    r"""Difference target propagation (Lee et al. 2015), on a plain stack of layers.

    .. math::
        \hat h_{L-1} = h_{L-1} - \alpha\, \partial C / \partial h_{L-1}, \qquad
        \hat h_l = h_l + g_{l+1}(\hat h_{l+1}) - g_{l+1}(h_{l+1})

    with updates as of `TargetRule`. The last hidden layer's target comes from the true gradient, so the
    outputs' layer needs no inverse. The inverses learn as noisy auto-encoders, by the gradient of
    :math:`\lVert g_l(f_l(h_{l-1} + \epsilon)) - (h_{l-1} + \epsilon) \rVert^2 / \sigma^2` (here
    over σ², as in Meulemans et al. 2020). With exact inverses of layers of one size the targets are
    Gauss-Newton's, which are far from backprop's. The rates are Meulemans et al.'s.
    """

    name = "difference_target_propagation"
    feedback = "targets through learnt inverses, less what these make of the answers; the first by the gradient"
    locality = "pre- and postsynaptic activity, and the postsynaptic unit's target"
    passes = 7.0
    source = "Lee et al. 2015, ECML; rates of Meulemans et al. 2020, NeurIPS"
    optimizer = "adam:lr=6.19e-5"

    def inverted(self, n_layers: int) -> range:
        """Give the places of the layers between the first and the outputs'."""
        return range(1, n_layers - 1)

    def target_below(self, passed: Passed, place: int, target: Tensor, error: Tensor) -> Tensor:
        """Give the last hidden layer's target by the gradient, the others' by the difference."""
        if place in passed.inverses:
            return super().target_below(passed, place, target, error)
        layer, h = passed.layers[place], passed.answers[place]
        sent = layer.transpose(layer.before_activation(error, passed.preactivations[place]), h)
        return h - self.target_step * sent
