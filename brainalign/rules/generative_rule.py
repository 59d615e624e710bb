"""What rules that learn to generate have in common: maps from each hidden layer to what it was given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.networks.layered import Layer
from brainalign.rules.inverses import INVERSE, Inverse, Use, draw_inverse
from brainalign.rules.rule import TRAINABLE, LearningRule, State, Update
from brainalign.rules.stack_needs import needs_inputs_alone, stack_of
from brainalign.tasks.task import Task

GENERATIVE = TRAINABLE + "generative."


@dataclass(frozen=True)
class GenerativeRule(LearningRule):
    """The hidden layers recognise, generative maps of their own way back generate, and neither sees targets.

    The generative map of a layer is an `Inverse` of it, under ``trainable.generative.NAME`` in the state.
    """

    family = "unsupervised"
    phases = 2
    true_gradient = False
    trains_readout = False

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack with hidden layers, and the task only shows it inputs."""
        stack_of(self.name, network, hidden=1)
        needs_inputs_alone(self.name, task)

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw the generative maps."""
        state: State = {}
        for layer in self.hidden(network):
            state |= _renamed(draw_inverse(layer, generator))
        return state

    def hidden(self, network: nn.Module) -> tuple[Layer, ...]:
        """Give the hidden layers, which are all that learns."""
        return stack_of(self.name, network, hidden=1).layers[:-1]


def generative_maps(
    layers: Sequence[Layer], state: State, activations: Sequence[nn.Module]
) -> tuple[Inverse, ...]:
    """Give each hidden layer's generative map.

    Parameters
    ----------
    layers
        The hidden layers.
    state
        Where the maps' weights are.
    activations
        What each map ends with.
    """
    return tuple(
        Inverse(
            layer,
            nn.Identity(),
            replace(layer, activation=activation),
            state[f"{GENERATIVE}{layer.name}.weight"],
            state[f"{GENERATIVE}{layer.name}.bias"],
        )
        for layer, activation in zip(layers, activations, strict=True)
    )


def generative_gradient(generative: Inverse, use: Use, error: Tensor) -> Update:
    """Give the gradient of a map's weights by their names in the state, from the error of its answer."""
    return _renamed(generative.gradient([(use, error)]))


def normal(like: Float[Tensor, "..."], generator: torch.Generator) -> Float[Tensor, "..."]:
    """Draw standard normal numbers in the shape of a tensor, on its device."""
    return torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)


def _renamed(tensors: State) -> State:
    return {GENERATIVE + name.removeprefix(INVERSE): each for name, each in tensors.items()}
