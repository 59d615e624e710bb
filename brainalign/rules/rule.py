"""What a learning rule is to the training loop."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from brainalign.tasks.task import Batch, Task

State = dict[str, Tensor]
Update = dict[str, Tensor]

TRAINABLE = "trainable."
OF_TASK = "task."


@dataclass(frozen=True)
class LearningRule(ABC):
    """How weights change. A rule is a file with a subclass, and a row of the catalogue.

    Fields of the subclass, with their defaults, are the options that may follow the rule's name. A rule
    knows no architecture by name.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    """Kind of rule, such as ``error feedback``."""
    feedback: ClassVar[str]
    """What comes back to a synapse, such as ``its own forward weights, transposed``."""
    locality: ClassVar[str]
    phases: ClassVar[int]
    passes: ClassVar[float]
    """Cost of a step in forward passes."""
    source: ClassVar[str]

    optimizer: ClassVar[str] = "momentum"
    """Default optimiser, with options, as `brainalign.training.find_optimizer` reads them."""
    activation: ClassVar[str] = "relu"
    """Activation of networks that leave theirs open."""
    true_gradient: ClassVar[bool] = True
    """Whether the cost has a gradient that the rule's updates can be held against."""
    trains_readout: ClassVar[bool] = True
    """Whether the network's outputs learn the task; else a read-out is fitted apart, to measure it."""
    learns: ClassVar[bool] = True
    """Whether weights change at all."""
    of_time: ClassVar[bool] = False
    """Whether it trains recurrent networks alone, on tasks over time."""
    from_zero: ClassVar[frozenset[str]] = frozenset()
    """Options that may be 0; all other numbers are above."""

    def check(self, network: nn.Module, task: Task) -> None:  # noqa: B027
        """Raise `NeedsError` where the network or the task is one that the rule cannot train."""

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Make what the rule keeps beside the network, as a flat dict that checkpoints hold.

        Names under ``trainable.`` are changed by the optimiser alone, in place. The others are the rule's own
        to change.
        """
        return {}

    @abstractmethod
    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give one or more updates: name → what ``parameter.grad`` would hold.

        Names are those of the network's parameters, of the state under ``trainable.``, and ``task.NAME`` for
        what the task has to learn. The loop applies each update before it asks for the next, so that phases
        see what the phases before have done. A name that is left out does not change.
        """

    def after_update(self, network: nn.Module, state: State) -> None:  # noqa: B027
        """Change the network in place once the optimiser has applied an update, such as back to kept norms.

        Called without gradients, after each update of a batch.
        """

    def inference(self, network: nn.Module, state: State) -> nn.Module:
        """Give the module that is evaluated and probed."""
        return network

    def learning_rate_factor(self, name: str) -> float:
        """Give the factor of the learning rate of a parameter or a trainable state."""
        return 1.0
