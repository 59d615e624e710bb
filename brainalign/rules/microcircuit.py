"""Pyramidal cells with apical dendrites, and interneurons that predict what comes down to these."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from brainalign.rules.relaxation import Activities, Relaxed, change, relax
from brainalign.rules.rule import TRAINABLE
from brainalign.rules.symmetric_stack import OfOutputs, SymmetricStack, bottom_up

DOWN = "feedback."
INTERNEURON = TRAINABLE + "interneuron."
LATERAL = TRAINABLE + "lateral."


@dataclass(frozen=True)
class Microcircuit(SymmetricStack):
    r"""Layers of pyramidal cells with interneurons, whose potentials settle.

    .. math::
        u_l = W_l r_{l-1} + b_l + \kappa v^A_l, \qquad
        v^A_l = D_{l+1}^\top r_{l+1} + P_{l+1}^\top r^I_l, \qquad
        u^I_l = (1 - \lambda_I)(S_{l+1} r_l + s_{l+1}) + \lambda_I u_{l+1}, \qquad r = f(u)

    u are somatic and :math:`v^A` apical potentials. Interneurons, as many as the layer above has units, are
    driven by their own layer through S and nudged by the layer above. W, b, S and s are those of the paper
    times the attenuation of a basal potential on its way to the soma, which changes no activity. What
    `SymmetricStack` calls activities are potentials here, after the input's rates.

    Parameters
    ----------
    weights
        By the name of the layer above: D as ``feedback.NAME``, P as ``trainable.lateral.NAME``, both in the
        shape of W; S and s as ``trainable.interneuron.NAME.weight`` and ``.bias``.
    coupling
        κ.
    nudging
        λ_I.
    """

    weights: Mapping[str, Tensor] = field(default_factory=dict)
    coupling: float = 0.42
    nudging: float = 0.42

    def forward_activities(self, x: Float[Tensor, "sample ..."]) -> Activities:
        """Give the potentials without apical input."""
        potentials = [x]
        for place, layer in enumerate(self.layers):
            potentials.append(bottom_up(layer, self.rates(place - 1, potentials), bias=True))
        return potentials

    def rates(self, place: int, potentials: Activities) -> Float[Tensor, "sample ..."]:
        """Give the rates of the layer at `place`; the input's at −1."""
        if place < 0:
            return potentials[0]
        return self.layers[place].activation.forward(potentials[place + 1])

    def all_rates(self, potentials: Activities) -> Activities:
        """Give the rates of the input and of each layer."""
        return [self.rates(place - 1, potentials) for place in range(len(potentials))]

    def basal(self, place: int, potentials: Activities) -> Float[Tensor, "sample ..."]:
        """Give W r + b."""
        return bottom_up(self.layers[place], self.rates(place - 1, potentials), bias=True)

    def predicted(self, place: int, rate: Float[Tensor, "sample ..."]) -> Float[Tensor, "sample ..."]:
        """Give S r + s, what the interneurons of the layer at `place` say of the potentials above."""
        above = self.layers[place + 1]
        key, linear = INTERNEURON + above.name, above.linear
        weight, bias = self.weights[f"{key}.weight"], self.weights.get(f"{key}.bias")
        x = above.arranged(rate)
        if isinstance(linear, nn.Linear):
            return F.linear(x, weight, bias)
        return F.conv2d(x, weight, bias, linear.stride, linear.padding, linear.dilation, linear.groups)

    def interneurons(
        self, predicted: Float[Tensor, "sample ..."], above: Float[Tensor, "sample ..."]
    ) -> Float[Tensor, "sample ..."]:
        """Give the potentials of interneurons, from what they predict and from the potentials above."""
        return torch.lerp(predicted, above, self.nudging)

    def apical(
        self, place: int, potentials: Activities, rates: Activities | None = None
    ) -> Float[Tensor, "sample ..."]:
        """Give the apical potentials; `rates`, of the input and each layer, if they are known."""
        rates = self.all_rates(potentials) if rates is None else rates
        above, like = self.layers[place + 1], rates[place + 1]
        interneurons = self.interneurons(self.predicted(place, like), potentials[place + 2])
        lateral = above.activation.forward(interneurons)
        down = above.transpose(rates[place + 2], like, self.weights[DOWN + above.name])
        return down + above.transpose(lateral, like, self.weights[LATERAL + above.name])

    def feedback(self, place: int, activities: Activities, rates: Activities | None = None) -> Tensor | float:
        """Give κ times the apical potentials, which the outputs do not have."""
        return self.coupling * self.apical(place, activities, rates) if place + 1 < len(self.layers) else 0.0

    def total_input(
        self, place: int, activities: Activities, drive: Tensor | None = None
    ) -> Float[Tensor, "sample ..."]:
        """Give u; `drive` is W r + b of the first layer, if known."""
        basal = self.basal(place, activities) if place > 0 or drive is None else drive
        return basal + self.feedback(place, activities)

    def settle(self, activities: Activities, of_outputs: OfOutputs | None = None) -> Relaxed:
        """Settle from given potentials; `of_outputs` says what those of the outputs do under a teacher.

        Raises
        ------
        ConvergenceError
            They do not settle.
        """
        drive, n = bottom_up(self.layers[0], activities[0], bias=True), len(activities)

        def sweep(before: Activities) -> tuple[Activities, Tensor]:
            potentials, rates = before[:n], before[n:]
            for place in reversed(range(len(self.layers))):
                basal = bottom_up(self.layers[place], rates[place], bias=True) if place else drive
                u = basal + self.feedback(place, potentials, rates)
                last = place + 1 == len(self.layers)
                potentials[place + 1] = of_outputs(u, potentials[-1]) if last and of_outputs is not None else u
                rates[place + 1] = self.rates(place, potentials)
            return potentials + rates, change(before[1:n], potentials[1:])

        # Rates go along, so that each is worked out once.
        start = [*activities, *self.all_rates(activities)]
        relaxed = relax(sweep, start, self.tolerance, self.limit, "The microcircuit")
        return replace(relaxed, activities=relaxed.activities[:n])
