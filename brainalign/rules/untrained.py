"""Untrained: the control of all rules, in which nothing changes."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from brainalign.rules.rule import LearningRule, State, Update
from brainalign.tasks.task import Batch, Task


@dataclass(frozen=True)
class Untrained(LearningRule):
    """The network as it was drawn."""

    name = "untrained"
    family = "control"
    feedback = "none"
    locality = "full"
    phases = 0
    passes = 0.0
    source = "control"
    true_gradient = False
    learns = False

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give nothing."""
        yield from ()
