"""Networks that are a plain stack of layers, each a linear map and a pointwise activation."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from brainalign.names import unknown_name

Linear = nn.Linear | nn.Conv2d

DERIVATIVES: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.Identity: torch.ones_like,
    nn.ReLU: lambda a: (a > 0).to(a.dtype),
    nn.Sigmoid: lambda a: torch.sigmoid(a) * (1 - torch.sigmoid(a)),
    nn.Tanh: lambda a: 1 - torch.tanh(a) ** 2,
}
"""Derivatives of the usual activations; others are differentiated by autograd."""

SLOPES_OF_ANSWERS: dict[type[nn.Module], Callable[[Tensor, Tensor], Tensor]] = {
    nn.Sigmoid: lambda error, answer: torch.ops.aten.sigmoid_backward(error, answer),
    nn.Tanh: lambda error, answer: torch.ops.aten.tanh_backward(error, answer),
}
"""(error, answer) → error ∘ f′, of activations whose slope follows from their answer."""


@dataclass(frozen=True)
class Layer:
    """One layer of a stack: :math:`h = f(a)`, :math:`a = W x + b`, and the maps that learning rules need.

    Parameters
    ----------
    name
        Name of the linear map in the network: its parameters are ``name.weight`` and ``name.bias``.
    linear
        The linear map, fully connected or convolutional.
    activation
        A pointwise activation.
    """

    name: str
    linear: Linear
    activation: nn.Module

    def preactivation(self, x: Float[Tensor, "sample ..."]) -> Float[Tensor, "sample ..."]:
        """Give a = W x + b; a fully connected layer takes what comes from places as one vector."""
        return self.linear(self.arranged(x))

    def arranged(self, x: Float[Tensor, "sample ..."]) -> Float[Tensor, "sample ..."]:
        """Give the input in the shape in which the linear map takes it."""
        return x.flatten(1) if isinstance(self.linear, nn.Linear) else x

    def derivative(self, a: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Give f′(a), unit by unit."""
        known = DERIVATIVES.get(type(self.activation))
        if known is not None:
            return known(a)
        with torch.enable_grad():
            free = a.detach().requires_grad_()
            return torch.autograd.grad(self.activation(free).sum(), free)[0]

    def before_activation(
        self,
        error: Float[Tensor, "sample ..."],
        a: Float[Tensor, "sample ..."],
        answer: Float[Tensor, "sample ..."] | None = None,
        overwrite: bool = False,
    ) -> Float[Tensor, "sample ..."]:
        """Give the error of the preactivations, f′(a) ∘ that of the answers, in one pass where it can be.

        Parameters
        ----------
        error
            Errors of the answers.
        a
            The preactivations.
        answer
            f(a) where it is at hand, from which bounded units have their slope in less time.
        overwrite
            Whether `a` is needed no more: the result may take its place, which spares the time of new memory.
        """
        kind = type(self.activation)
        if kind is nn.Identity:
            return error
        if kind is nn.ReLU and overwrite:
            return torch.ops.aten.threshold_backward.grad_input(error, a, 0, grad_input=a)
        if kind is nn.ReLU:
            return torch.ops.aten.threshold_backward(error, a, 0)
        if answer is not None and kind in SLOPES_OF_ANSWERS:
            return SLOPES_OF_ANSWERS[kind](error, answer)
        return error * self.derivative(a)

    def transpose(
        self,
        delta: Float[Tensor, "sample ..."],
        x: Float[Tensor, "sample ..."],
        weight: Tensor | None = None,
    ) -> Float[Tensor, "sample ..."]:
        """Send errors of the preactivations down: Wᵀδ, in the shape of the layer's input.

        Parameters
        ----------
        delta
            Errors of the preactivations.
        x
            The layer's input, of which only the shape counts.
        weight
            Feedback weights in the shape of W to use in place of W.
        """
        weight = self.linear.weight if weight is None else weight
        if isinstance(self.linear, nn.Linear):
            return F.linear(delta, weight.T).reshape(x.shape)
        return self._convolution_backward(delta, x, weight, [True, False, False])[0]

    def weight_gradient(
        self, delta: Float[Tensor, "sample ..."], x: Float[Tensor, "sample ..."]
    ) -> dict[str, Tensor]:
        """Give Σ δ xᵀ and Σ δ, over samples and places, by the parameters' names in the network."""
        if isinstance(self.linear, nn.Linear):
            weight, bias = delta.T @ self.arranged(x), delta.sum(0)
        else:
            mask = [False, True, True]
            _, weight, bias = self._convolution_backward(delta, x, self.linear.weight, mask)
        gradient = {f"{self.name}.weight": weight}
        return gradient if self.linear.bias is None else gradient | {f"{self.name}.bias": bias}

    def _convolution_backward(self, delta: Tensor, x: Tensor, weight: Tensor, wanted: list[bool]) -> tuple:
        """Give the gradients of the input, the weights and the biases, None where they are not wanted."""
        conv = self.linear
        return torch.ops.aten.convolution_backward(
            delta,
            x,
            weight,
            [len(weight)],
            conv.stride,
            conv.padding,
            conv.dilation,
            False,
            [0, 0],
            conv.groups,
            wanted,
        )


class LayeredNetwork(nn.Module):
    """A network whose answer is that of a stack of layers, each given the answer of the one before.

    Still an ``nn.Module``: `forward` runs the stack, and hooks see its submodules as in any other.
    """

    @property
    @abstractmethod
    def layers(self) -> tuple[Layer, ...]:
        """The stack, from the input to the output."""

    def activity(
        self, x: Float[Tensor, "sample ..."]
    ) -> tuple[list[Float[Tensor, "sample ..."]], list[Float[Tensor, "sample ..."]]]:
        """Run the stack and keep what passes.

        Returns
        -------
        tuple
            The preactivations a of each layer, and the answers h: the input first, then each layer's.
        """
        preactivations, answers = [], [x]
        for layer in self.layers:
            preactivations.append(layer.preactivation(answers[-1]))
            answers.append(layer.activation(preactivations[-1]))
        return preactivations, answers


class Block(nn.Module):
    """A linear map followed by a pointwise activation.

    Parameters
    ----------
    linear
        The linear map: ``nn.Linear`` or ``nn.Conv2d``.
    activation
        The activation.
    """

    def __init__(self, linear: Linear, activation: nn.Module):
        super().__init__()
        self.linear: Linear
        self.linear = linear
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Apply the map, then the activation."""
        if isinstance(self.linear, nn.Linear):
            x = x.flatten(1)
        return self.activation(self.linear(x))


class BlockNetwork(LayeredNetwork):
    """Blocks, then a linear read-out, ``head``, without an activation."""

    blocks: nn.Sequential
    head: nn.Linear

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The blocks and the read-out."""
        stack = [
            Layer(f"blocks.{name}.linear", block.linear, block.activation)
            for name, block in self.blocks.named_children()
            if isinstance(block, Block)
        ]
        return (*stack, Layer("head", self.head, nn.Identity()))

    def forward(self, x: Float[Tensor, "sample ..."]) -> Float[Tensor, "sample output"]:
        """Give the read-out's answer."""
        return self.head(self.blocks(x).flatten(1))


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "linear": nn.Identity,
}


def find_activation(name: str) -> type[nn.Module]:
    """Give the class of an activation by its name."""
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


def he_normal(linear: Linear, activation: nn.Module) -> None:
    """Draw weights with variance 2 / fan-in under rectified units, else 1 / fan-in; biases are 0."""
    gain = "relu" if isinstance(activation, nn.ReLU) else "linear"
    nn.init.kaiming_normal_(linear.weight, nonlinearity=gain)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


def xavier_normal(linear: Linear, variance: float = 2.0) -> None:
    """Draw weights with `variance` / (fan-in + fan-out) (Glorot & Bengio 2010: 2); biases are 0."""
    nn.init.xavier_normal_(linear.weight, gain=(variance / 2) ** 0.5)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)
