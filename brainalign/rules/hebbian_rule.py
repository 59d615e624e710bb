"""What Hebbian rules have in common: hidden layers learn from what enters and leaves them, without targets."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.networks.layered import Layer
from brainalign.networks.normalised_stack import NormalisedLayer, NormalisedStack
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.rules.stack_needs import needs_inputs_alone, stack_of
from brainalign.tasks.task import Batch, Task


@dataclass(frozen=True)
class HebbianRule(LearningRule):
    """Weights of hidden layers change by presynaptic and postsynaptic activity; biases and the read-out stay.

    In a convolution each place of each image counts as a sample, and a layer learns on the means over samples.
    """

    family = "unsupervised"
    feedback = "none"
    locality = "pre- and postsynaptic activity"
    phases = 1
    true_gradient = False
    trains_readout = False

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack with hidden layers, and the task only shows it inputs."""
        hidden_layers(self.name, network)
        needs_inputs_alone(self.name, task)

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give each hidden layer's update, on what the layers below it answer."""
        update: Update = {}
        with torch.no_grad():
            x = batch.inputs
            for place, layer in enumerate(hidden_layers(self.name, network)):
                rule = self.of_layer(layer, place)
                if isinstance(layer, NormalisedLayer):
                    x = layer.normalisation(x)
                a = layer.preactivation(x)
                y = rule.answer(layer, a, state)
                update |= rule.layer_update(layer, x, a, y, batch, state)
                x = y
        yield update

    def of_layer(self, layer: Layer, place: int) -> "HebbianRule":
        """Give the rule as a hidden layer follows it, where constants differ by layer; the first is at 0."""
        return self

    def answer(self, layer: Layer, a: Float[Tensor, "sample ..."], state: State) -> Float[Tensor, "sample ..."]:
        """Give a layer's answer to its preactivations."""
        return layer.activation(a)

    @abstractmethod
    def layer_update(self, layer: Layer, x: Tensor, a: Tensor, y: Tensor, batch: Batch, state: State) -> Update:
        """Give what a layer's ``grad`` would hold: minus the change that the rule states.

        Parameters
        ----------
        layer
            The layer.
        x, a, y
            Its input, preactivations and answer (sample, unit, …).
        batch
            What is shown.
        state
            The rule's.
        """


def hidden_layers(rule: str, network: nn.Module) -> tuple[Layer, ...]:
    """Give the hidden layers of a plain or a normalised stack; raise `NeedsError` where there are none."""
    if isinstance(network, NormalisedStack):
        return network.layers[:-1]
    return stack_of(rule, network, hidden=1).layers[:-1]


def by_place(y: Float[Tensor, "sample unit ..."]) -> Float[Tensor, "place unit"]:
    """Give a row for each place of each sample.

    Examples
    --------
    >>> tuple(by_place(torch.zeros(2, 5, 4, 3)).shape)
    (24, 5)
    """
    return y.movedim(1, -1).flatten(0, -2)


def correlation(layer: Layer, y: Float[Tensor, "sample unit ..."], x: Float[Tensor, "sample ..."]) -> Tensor:
    """Give ⟨y xᵀ⟩ in the shape of the layer's weights, the mean over samples and places."""
    n_places = y.numel() // y.shape[1]
    return layer.weight_gradient(y / n_places, x)[f"{layer.name}.weight"]


def mixed(factors: Float[Tensor, "unit unit"], weight: Float[Tensor, "unit ..."]) -> Float[Tensor, "unit ..."]:
    """Give A W, where W may be that of a convolution."""
    return (factors @ weight.flatten(1)).view_as(weight)


def each_unit(factors: Float[Tensor, " unit"], weight: Float[Tensor, "unit ..."]) -> Float[Tensor, "unit ..."]:
    """Give each unit's weights times its factor."""
    return factors.view(-1, *[1] * (weight.ndim - 1)) * weight
