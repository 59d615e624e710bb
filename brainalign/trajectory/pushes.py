"""Pushes off a network's weights: in a random direction, or by another read-out."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from brainalign.rules.linear_maps import linear_maps
from brainalign.tasks.task import Task


def random_direction(network: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw a direction: Gaussian, each tensor as long as the parameter that it is for.

    Parameters that are all zero, such as biases before training, do not move.

    Examples
    --------
    >>> network = nn.Linear(3, 2)
    >>> direction = random_direction(network, torch.Generator().manual_seed(0))
    >>> bool(torch.isclose(direction["weight"].norm(), network.weight.norm()))
    True
    """
    direction = {}
    for name, parameter in network.named_parameters():
        drawn = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        direction[name] = drawn * (parameter.detach().norm() / drawn.norm())
    return direction


@torch.no_grad()
def move(network: nn.Module, direction: Mapping[str, Tensor], size: float) -> None:
    """Add `size` times a direction to a network's weights, in place."""
    for name, step in direction.items():
        network.get_parameter(name).add_(size * step)


def readout_names(network: nn.Module, task: Task) -> list[str]:
    """Name the parameters of the linear map that is called last."""
    module = linear_maps(network, task)[-1].name.rpartition(".")[0]
    return [f"{module}.{name}" for name, _ in network.get_submodule(module).named_parameters()]


def push_weights(network: nn.Module, task: Task, size: float, generator: torch.Generator) -> None:
    """Move the weights in a random direction, each tensor by `size` times its norm."""
    move(network, random_direction(network, generator), size)


@torch.no_grad()
def push_readout(network: nn.Module, task: Task, size: float, generator: torch.Generator) -> None:
    """Permute the outputs' units in one cycle, so that none stays where it was; `size` says nothing here."""
    order = torch.randperm(task.n_outputs, generator=generator)
    moved = torch.empty_like(order)
    moved[order] = order.roll(1)
    for name in readout_names(network, task):
        parameter = network.get_parameter(name)
        parameter.copy_(parameter[moved])


PUSHES: dict[str, Callable[[nn.Module, Task, float, torch.Generator], None]] = {
    "weights": push_weights,
    "readout": push_readout,
}
