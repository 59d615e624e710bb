"""Backprop: the gradient of the cost, by the chain rule."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from brainalign.rules.rule import LearningRule, State, Update
from brainalign.tasks.task import Batch, Task
from brainalign.tasks.total_cost import gradient


@dataclass(frozen=True)
class Backprop(LearningRule):
    r"""Backprop (Rumelhart, Hinton & Williams 1986), by autograd, on any network.

    .. math::
        \Delta W_l = -\eta\, \delta_l h_{l-1}^\top, \qquad
        \delta_l = (W_{l+1}^\top \delta_{l+1}) \circ f'(a_l), \qquad \delta_L = \partial C / \partial a_L
    """

    name = "backprop"
    family = "gradient"
    feedback = "errors through the forward weights, transposed"
    locality = "none: a synapse must know others' weights"
    phases = 1
    passes = 3.0
    source = "Rumelhart, Hinton & Williams 1986, Nature 323:533"

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give the gradient."""
        yield gradient(network, task, batch)
