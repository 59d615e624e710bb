"""What rules whose networks settle have in common: feedback through the weights transposed, and phases."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from brainalign.networks.layered import Layer
from brainalign.rules.output_error import output_error
from brainalign.rules.relaxation import RESIDUAL, Activities
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.rules.stack_needs import needs_outputs_cost, stack_of
from brainalign.rules.symmetric_stack import OfOutputs, SymmetricStack, settled_network
from brainalign.tasks.task import Batch, Task


@dataclass(frozen=True)
class SettlingRule(LearningRule):
    """A rule on a `SymmetricStack`, which is probed and evaluated at its equilibrium.

    Hidden units must be bounded (``tanh``, ``sigmoid``) for an equilibrium to be sure; rectified ones have none
    where weights are large, which raises `ConvergenceError`. Steep units (``tanh``) under a gain of 1 may have
    many equilibria, and take long to come to one. Angles are to backprop through the same weights without
    feedback.

    Parameters
    ----------
    gain
        Of feedback.
    tolerance
        Largest change of a unit by a sweep, over 1 + its activity, at which the network is settled. 0 takes
        `limit` sweeps, and keeps the largest change of the last in the state as ``residual``.
    limit
        Sweeps at most.
    """

    gain: float = 1.0
    tolerance: float = 1e-5
    limit: int = 1000

    activation = "sigmoid"
    from_zero = frozenset({"tolerance"})

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack with a hidden layer and the cost is of its outputs."""
        stack_of(self.name, network, hidden=1)
        needs_outputs_cost(self.name, task)

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Make room for the residual of the last batch."""
        return {RESIDUAL: self.layers(network)[0].linear.weight.detach().new_zeros(())}

    def inference(self, network: nn.Module, state: State) -> nn.Module:
        """Give the network at its free equilibrium."""
        return settled_network(stack_of(self.name, network), self.settling(network))

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give one update."""
        yield self.update(network, task, batch, state, generator)

    @abstractmethod
    def update(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Update:
        """Give what the phases say."""

    def layers(self, network: nn.Module) -> tuple[Layer, ...]:
        """Give the layers that settle."""
        return stack_of(self.name, network, hidden=1).layers

    def settling(self, network: nn.Module) -> SymmetricStack:
        """Give the network with feedback."""
        return SymmetricStack(self.layers(network), self.gain, self.tolerance, self.limit)

    def settled(
        self,
        stack: SymmetricStack,
        state: State,
        activities: Activities,
        of_outputs: OfOutputs | None = None,
    ) -> Activities:
        """Settle, and keep the residual; that of a batch is the largest of its phases, the free one first."""
        relaxed = stack.settle(activities, of_outputs)
        before = state[RESIDUAL] if of_outputs is not None else relaxed.residual
        state[RESIDUAL] = torch.maximum(before, relaxed.residual)
        return relaxed.activities

    def two_phases(
        self, stack: SymmetricStack, task: Task, batch: Batch, state: State
    ) -> tuple[Activities, Activities, Update]:
        """Settle freely, then from there with the outputs clamped to where the cost draws them.

        Outputs are clamped to h − ∂C/∂h: the targets themselves under half the squared error.

        Returns
        -------
        tuple
            Activities of the minus and of the plus phase, and the gradient at what the task itself learns.
        """
        minus = self.settled(stack, state, stack.forward_activities(batch.inputs))
        error, of_task = output_error(task, batch, minus[-1])
        clamped = [*minus[:-1], minus[-1] - error]
        return minus, self.settled(stack, state, clamped, lambda _, outputs: outputs), of_task
