"""Difference target propagation with the local difference reconstruction loss."""

from dataclasses import dataclass

import torch

from brainalign.rules.rule import Update
from brainalign.rules.target_rule import Passed, TargetRule


@dataclass(frozen=True)
class DTPWithLocalDRL(TargetRule):
    r"""Difference target propagation with the local difference reconstruction loss (Ernoult et al. 2022).

    Targets and updates are those of `simplified_dtp`. With noise ε at a layer's input and η at its answer h,
    the layer's inverse learns by the gradient of

    .. math::
        \frac{1}{\sigma^2} \left( -2\, \epsilon \cdot \big(g(f(h_{l-1} + \epsilon)) - g(f(h_{l-1}))\big)
        + \lVert g(h_l + \eta) - g(h_l) \rVert^2 \right)

    whose least is where the inverse's Jacobian is the layer's, transposed, so that targets are backprop's.
    Several updates of the inverses for each batch let them follow the network; Ernoult et al. have 20 to 55. As
    in their code, the inverse has the layer's activation before its linear map. α is theirs; with Adam in place
    of momentum, the rate is the one that Meulemans et al. (2020) give for backprop, and the inverses' this
    library's choice.
    """

    target_step: float = 0.7
    noise: float = 0.2
    inverse_rate: float = 5.0
    inverse_steps: int = 5
    inverse_activation: str = "before"

    name = "dtp_l_drl"
    feedback = "targets through learnt inverses, less what these make of the answers"
    locality = "pre- and postsynaptic activity, the postsynaptic unit's target, and noise of both units"
    passes = 39.0
    source = "Ernoult et al. 2022, ICML"
    optimizer = "adam:lr=2.97e-4"

    def inverse_gradient(self, passed: Passed, place: int, generator: torch.Generator) -> Update:
        """Give the gradient of the local difference reconstruction of one inverse, the mean over samples."""
        inverse, layer = passed.inverses[place], passed.layers[place]
        h, above = passed.answers[place], passed.answers[place + 1]
        noise = self.noise_for(h, generator)
        by_noise = layer.activation(layer.preactivation(h + noise))
        perturbed = above + self.noise_for(above, generator)
        of_noise, of_perturbed, clean = (inverse.use(each, h) for each in (by_noise, perturbed, above))
        scale = self.loss_scale(h)
        sent, returned = -scale * noise, scale * (of_perturbed.answer - clean.answer)
        return inverse.gradient([(of_noise, sent), (of_perturbed, returned), (clean, -sent - returned)])
