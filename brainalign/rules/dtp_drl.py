"""Difference target propagation with the difference reconstruction loss."""

from dataclasses import dataclass

import torch
from torch import Tensor

from brainalign.rules.inverses import INVERSE, Use
from brainalign.rules.rule import Update
from brainalign.rules.target_rule import Passed, TargetRule


@dataclass(frozen=True)
class DTPWithDRL(TargetRule):
    r"""Difference target propagation with the difference reconstruction loss (Meulemans et al. 2020).

    Targets and updates are those of `simplified_dtp`. Noise at a layer goes up to the outputs and comes back as
    targets do, and the layer's inverse learns to give it back:

    .. math::
        C_l = \frac{1}{\sigma^2} \lVert \bar g_l(\bar f_l(h_l + \epsilon)) - (h_l + \epsilon) \rVert^2
        + \frac{\lambda}{2} \lVert V_{l+1} \rVert^2

    with :math:`\bar f_l` the layers above l, and :math:`\bar g_l` their inverses in the form of the targets,
    :math:`\hat h_l = h_l + g_{l+1}(\hat h_{l+1}) - g_{l+1}(h_{l+1})`. The Jacobian of :math:`\bar g_l` comes
    to the pseudo-inverse of that of :math:`\bar f_l`, and the targets to Gauss-Newton's, where layers differ
    in size too. The rates are theirs for MNIST, where inverses learn alone for the first six epochs; here they
    do for `pretraining` steps, few by default so that short runs train the network too.

    A step's cost grows with depth, by the way of each layer's noise; `passes` is for five hidden layers.

    Parameters
    ----------
    inverse_decay
        λ, the weight decay of the inverses.
    """

    target_step: float = 0.0686
    noise: float = 0.0569
    inverse_rate: float = 0.673
    pretraining: int = 10
    inverse_activation: str = "none"
    inverse_decay: float = 5.4e-6

    name = "dtp_drl"
    feedback = "targets through learnt inverses, less what these make of the answers"
    locality = "pre- and postsynaptic activity, the postsynaptic unit's target, and noise sent up and back"
    passes = 11.0
    source = "Meulemans et al. 2020, NeurIPS"
    optimizer = "adam:lr=2.97e-5"
    from_zero = TargetRule.from_zero | {"inverse_decay"}

    @torch.no_grad()
    def inverse_update(self, passed: Passed, generator: torch.Generator) -> Update:
        """Give the gradients of the difference reconstructions."""
        clean = {
            place: inverse.use(passed.answers[place + 1], passed.answers[place])
            for place, inverse in passed.inverses.items()
        }
        update: Update = {}
        for place, inverse in passed.inverses.items():
            h = passed.answers[place]
            noisy = h + self.noise_for(h, generator)
            back = inverse.use(self._up_and_back(passed, place, noisy, clean), h)
            error = (h + back.answer - clean[place].answer - noisy) * self.loss_scale(h)
            gradient = inverse.gradient([(back, error), (clean[place], -error)])
            decayed = f"{INVERSE}{inverse.layer.name}.weight"
            gradient[decayed] += self.inverse_decay * inverse.weight
            update |= gradient
        return update

    def _up_and_back(self, passed: Passed, place: int, noisy: Tensor, clean: dict[int, Use]) -> Tensor:
        """Send what the layer at `place` is given up to the outputs, and back to the layer's own answer."""
        above = range(place, len(passed.layers))
        for up in above:
            layer = passed.layers[up]
            noisy = layer.activation(layer.preactivation(noisy))
        for down in reversed(above[1:]):
            inverse, h = passed.inverses[down], passed.answers[down]
            noisy = h + inverse(noisy, h) - clean[down].answer
        return noisy
