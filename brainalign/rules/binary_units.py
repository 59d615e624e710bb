"""Units that are 0 or 1, by chance."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.networks.layered import Layer
from brainalign.tasks.task import Task

LOOKED_AT = 100
"""Samples of a task that are looked at for the range of its inputs."""


def needs_sigmoid(rule: str, layers: Iterable[Layer]) -> None:
    """Raise `NeedsError` unless the layers' answers are the chance that their units are 1."""
    for layer in layers:
        if not isinstance(layer.activation, nn.Sigmoid):
            raise NeedsError(
                f"Rule {rule!r} draws units that are 0 or 1, which are sigmoid on average; layer "
                f"{layer.name!r} has {type(layer.activation).__name__}. Choose activation=sigmoid."
            )


def needs_chances(rule: str, task: Task) -> None:
    """Raise `NeedsError` unless the task's inputs are between 0 and 1, as chances are."""
    low, high = next(task.held_out(LOOKED_AT)).inputs.aminmax()
    if low < 0 or high > 1:
        raise NeedsError(
            f"Rule {rule!r} was given visible=binary, for inputs from 0 to 1; those of {task.name!r} go from "
            f"{low:.2g} to {high:.2g}. Choose scale=unit of the task, or visible=gaussian."
        )


def drawn_binary(chance: Float[Tensor, "..."], generator: torch.Generator) -> Float[Tensor, "..."]:
    """Draw units that are 1 by the chance given for each, else 0, on any device.

    Examples
    --------
    >>> drawn_binary(torch.tensor([0.0, 1.0]), torch.Generator().manual_seed(0))
    tensor([0., 1.])
    """
    drawn = torch.rand(chance.shape, generator=generator, dtype=chance.dtype)
    return (drawn.to(chance.device) < chance).to(chance.dtype)
