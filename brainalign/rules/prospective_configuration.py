"""Prospective configuration: values settle to what they should be once learnt, then weights follow."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from brainalign.rules.prediction_errors import prediction_errors
from brainalign.rules.relaxation import relax, secant_descent
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.rules.stack_needs import needs_outputs_cost, stack_of
from brainalign.tasks.task import Batch, Task


@dataclass(frozen=True)
class ProspectiveConfiguration(LearningRule):
    r"""Prospective configuration (Song et al. 2024), on a stack of layers.

    .. math::
        x^* = \arg\min_x F(x, W), \qquad \Delta W_l = \eta\, \epsilon_l(x^*) f(x^*_{l-1})^\top

    with F as of `PredictionErrors`, of precision 1: predictive coding at its equilibrium, where hidden values
    have moved before weights do. An output that is right already is disturbed less than by backprop.
    Evaluation is by the pass forward.

    Parameters
    ----------
    tolerance
        Largest slope ∂F/∂x at which values are settled.
    limit
        Steps at most.
    """

    tolerance: float = 1e-4
    limit: int = 1000

    name = "prospective_configuration"
    family = "activity differences"
    feedback = "errors of prediction through its own forward weights, transposed, until values settle"
    locality = "presynaptic settled activity, and the postsynaptic unit's error neuron"
    phases = 1
    passes = 63.0
    source = "Song, Millidge, Salvatori, Lukasiewicz, Xu & Bogacz 2024, Nat Neurosci"
    optimizer = "momentum:lr=0.02"
    activation = "tanh"

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack with a hidden layer and the cost is of its outputs."""
        stack_of(self.name, network, hidden=1)
        needs_outputs_cost(self.name, task)

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give one update."""
        yield self.update(network, task, batch, state, generator)

    @torch.no_grad()
    def update(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Update:
        """Give the update at the equilibrium."""
        stack = stack_of(self.name, network, hidden=1)
        predicting, values, update = prediction_errors(stack, task, batch, precision=1.0)
        step = secant_descent(predicting.gradient, FIRST_RATE)
        settled = relax(step, values, self.tolerance, self.limit, "Values").activities
        return update | predicting.update(settled, predicting.errors(settled))


FIRST_RATE = 0.1
"""Rate of the first step; the others take theirs from how the slopes change."""
