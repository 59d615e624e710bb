"""Inverse networks: what carries a layer's answer, or a target for it, back to the layer's input."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.networks.layered import Layer
from brainalign.rules.rule import TRAINABLE, State

INVERSE = TRAINABLE + "inverse."

ACTIVATIONS = ("after", "before", "none")
"""Where an inverse has its activation: after its linear map, before it, or nowhere."""


@dataclass(frozen=True)
class Use:
    """One use of an inverse.

    Parameters
    ----------
    entering
        What entered its linear map.
    preactivation
        What left the map.
    answer
        What the inverse answered.
    """

    entering: Tensor
    preactivation: Tensor
    answer: Tensor


@dataclass(frozen=True)
class Inverse:
    r"""An inverse of a layer, :math:`g(h) = f_\text{after}(V^\top f_\text{before}(h) + c)`.

    V has the shape of the layer's weights, and goes back as Wᵀ does: a transposed convolution with the
    layer's geometry, whose answer has the size of the layer's input, whatever the rounding on the way up.

    Parameters
    ----------
    layer
        The layer that is inverted.
    before
        Activation before the linear map.
    after
        The layer below with the activation after the linear map; only its activation is used.
    weight, bias
        V and c; c has one value for each unit, and one for each channel of a convolution's input.
    """

    layer: Layer
    before: nn.Module
    after: Layer
    weight: Tensor
    bias: Tensor

    def use(self, h: Float[Tensor, "sample ..."], x: Float[Tensor, "sample ..."]) -> Use:
        """Run the inverse on h; the layer's input `x` only gives the shape of the answer."""
        entering = self.before(h)
        back = self.layer.transpose(entering, x, weight=self.weight)
        fully_connected = isinstance(self.layer.linear, nn.Linear)
        back = back + (self.bias.view(x.shape[1:]) if fully_connected else self.bias[:, None, None])
        return Use(entering, back, self.after.activation(back))

    def __call__(
        self, h: Float[Tensor, "sample ..."], x: Float[Tensor, "sample ..."]
    ) -> Float[Tensor, "sample ..."]:
        """Give the inverse's answer."""
        return self.use(h, x).answer

    def gradient(self, errors: Iterable[tuple[Use, Tensor]]) -> dict[str, Tensor]:
        """Give the gradient of V and c by their names in the state, summed over uses with errors of answers."""
        weights, biases = [], []
        for use, error in errors:
            delta = self.after.before_activation(error, use.preactivation, use.answer)
            # The outer product of a layer's error and input, with the two in each other's place.
            found = self.layer.weight_gradient(use.entering, delta)
            weights.append(found[f"{self.layer.name}.weight"])
            if isinstance(self.layer.linear, nn.Linear):
                biases.append(delta.flatten(1).sum(0))
            else:
                biases.append(delta.sum((0, 2, 3)))
        name = INVERSE + self.layer.name
        return {f"{name}.weight": sum_of(weights), f"{name}.bias": sum_of(biases)}


def sum_of(tensors: list[Tensor]) -> Tensor:
    """Add tensors of one shape."""
    total = tensors[0]
    for each in tensors[1:]:
        total = total + each
    return total


def draw_inverse(layer: Layer, generator: torch.Generator) -> State:
    """Draw V with variance 2 / (fan-in + fan-out) (Glorot & Bengio 2010); c is 0."""
    weight = layer.linear.weight
    fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(weight)
    drawn = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    drawn *= (2 / (fan_in + fan_out)) ** 0.5
    linear = layer.linear
    n_in = linear.in_features if isinstance(linear, nn.Linear) else linear.in_channels
    name = INVERSE + layer.name
    return {f"{name}.weight": drawn.to(weight.device), f"{name}.bias": weight.new_zeros(n_in)}


def inverse_of(layer: Layer, below: Layer, state: State, activation: str) -> Inverse:
    """Give the inverse of a layer.

    Parameters
    ----------
    layer
        The layer that is inverted.
    below
        The layer that gives its input.
    state
        Where V and c are.
    activation
        One of `ACTIVATIONS`: the activation of the layer below after the linear map, so that answers have the
        range of what they stand for, that of the layer itself before it, or none.
    """
    name = INVERSE + layer.name
    return Inverse(
        layer,
        layer.activation if activation == "before" else nn.Identity(),
        below if activation == "after" else replace(below, activation=nn.Identity()),
        state[f"{name}.weight"],
        state[f"{name}.bias"],
    )
