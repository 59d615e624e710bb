"""A stack whose layers also hear the layer above, through its weights transposed, and settle."""

import contextlib
import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from brainalign.networks.layered import Layer, LayeredNetwork
from brainalign.rules.relaxation import Activities, Relaxed, change, relax

OfOutputs = Callable[[Tensor, Tensor], Tensor]
"""(input of the output units, their activity) → their next activity."""


@dataclass(frozen=True)
class SymmetricStack:
    r"""Layers with feedback, and the energy that they settle to a minimum of.

    .. math::
        h_l = f(u_l), \quad u_l = W_l h_{l-1} + b_l + \gamma W_{l+1}^\top h_{l+1}, \qquad
        E = \sum_l \gamma^{l-L} \Big[\sum_i \int^{h_{li}} f^{-1} - h_l^\top (W_l h_{l-1} + b_l)\Big]

    (Hopfield 1984; with gain γ, Xie & Seung 2003.) Layers are renewed one after the other from the top, each
    to the minimum of E given the others, so that with bounded units a sweep never raises E.
    Hooks on the modules are not called.

    Parameters
    ----------
    layers
        The stack.
    gain
        γ, of feedback.
    tolerance
        `change` of activities by a sweep at which they are settled.
    limit
        Sweeps at most.
    """

    layers: tuple[Layer, ...]
    gain: float = 1.0
    tolerance: float = 1e-5
    limit: int = 1000

    def forward_activities(self, x: Float[Tensor, "sample ..."]) -> Activities:
        """Give the activities without feedback: the input, then each layer's, where settling starts."""
        activities = [x]
        for layer in self.layers:
            activities.append(layer.activation.forward(bottom_up(layer, activities[-1], bias=True)))
        return activities

    def feedback(self, place: int, activities: Activities) -> Tensor | float:
        """Give γ Wᵀh to the layer at `place` from the layer above; 0 to the outputs."""
        if place + 1 == len(self.layers):
            return 0.0
        above = self.layers[place + 1]
        return self.gain * above.transpose(activities[place + 2], activities[place + 1])

    def total_input(
        self, place: int, activities: Activities, drive: Tensor | None = None
    ) -> Float[Tensor, "sample ..."]:
        """Give u, the whole input to the layer at `place`; `drive` is W x + b of the first layer, if known."""
        if place > 0 or drive is None:
            drive = bottom_up(self.layers[place], activities[place], bias=True)
        return drive + self.feedback(place, activities)

    def settle(self, activities: Activities, of_outputs: OfOutputs | None = None) -> Relaxed:
        """Settle from given activities, the input first, which stays.

        Parameters
        ----------
        activities
            Where to start.
        of_outputs
            What output units do, where they are clamped or nudged.

        Raises
        ------
        ConvergenceError
            They do not settle.
        """
        drive = bottom_up(self.layers[0], activities[0], bias=True)

        def sweep(before: Activities) -> tuple[Activities, Tensor]:
            after = list(before)
            for place in reversed(range(len(self.layers))):
                u = self.total_input(place, after, drive)
                if place + 1 == len(self.layers) and of_outputs is not None:
                    after[-1] = of_outputs(u, after[-1])
                else:
                    after[place + 1] = self.layers[place].activation.forward(u)
            return after, change(before[1:], after[1:])

        return relax(sweep, activities, self.tolerance, self.limit, "The network with feedback")

    def products(self, activities: Activities) -> dict[str, Tensor]:
        """Give the mean over samples of −∂E/∂W = γ^(l−L) h_l h_{l−1}ᵀ, and that of biases, by parameter."""
        found: dict[str, Tensor] = {}
        for place, layer in enumerate(self.layers):
            scaled = activities[place + 1] * (self.scale(place) / len(activities[0]))
            found |= layer.weight_gradient(scaled, activities[place])
        return found

    def scale(self, place: int) -> float:
        """Give γ^(l−L), by which what feedback has changed in a layer is made up for."""
        return self.gain ** (place + 1 - len(self.layers))


def bottom_up(layer: Layer, x: Float[Tensor, "sample ..."], bias: bool = False) -> Float[Tensor, "sample ..."]:
    """Give W x, or W x + b, without a call of the module that hooks would see."""
    linear = layer.linear
    b = linear.bias if bias else None
    if isinstance(linear, nn.Linear):
        return F.linear(layer.arranged(x), linear.weight, b)
    return F.conv2d(x, linear.weight, b, linear.stride, linear.padding, linear.dilation, linear.groups)


class _Settled(LayeredNetwork):
    """What is put before a network's own class, whose `forward` it runs with feedback."""

    settling: SymmetricStack

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Settle, and let each module answer at the equilibrium."""
        stack = self.settling
        activities = stack.settle(stack.forward_activities(x)).activities
        with contextlib.ExitStack() as hooks:
            for place, layer in enumerate(stack.layers[:-1]):
                hook = _adding(stack.feedback(place, activities))
                # Before hooks that are there, so that these see the whole input.
                handle = layer.linear.register_forward_hook(hook, prepend=True)
                hooks.callback(handle.remove)
            return super().forward(x)


def _adding(feedback: Tensor | float) -> Callable[..., Tensor]:
    def add(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        return output + feedback

    return add


def settled_network(network: LayeredNetwork, stack: SymmetricStack) -> LayeredNetwork:
    """Give a network of the same submodules that answers at the equilibrium with feedback.

    Parameters
    ----------
    network
        The network; modules and weights are shared, so that hooks on them see the equilibrium.
    stack
        Its layers, and how they settle.
    """
    made = copy.copy(network)
    made.__dict__["settling"] = stack
    kind = type(network)
    made.__class__ = type(f"Settled{kind.__name__}", (_Settled, kind), {"__module__": __name__})
    return made
