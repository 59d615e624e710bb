"""Predictive coding: values settle so that layers predict one another, and weights lower what errors remain."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from brainalign.names import unknown_name
from brainalign.rules.prediction_errors import PredictionErrors, prediction_errors
from brainalign.rules.relaxation import RESIDUAL, Activities, Relaxed, descent, relax
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.rules.stack_needs import needs_outputs_cost, stack_of
from brainalign.tasks.task import Batch, Task

VARIANTS = ("strict", "fixed_prediction", "z_il")


@dataclass(frozen=True)
class PredictiveCoding(LearningRule):
    r"""Predictive coding (Whittington & Bogacz 2017), on a stack of layers.

    .. math::
        \dot x_l = -\epsilon_l + f'(x_l) \circ W_{l+1}^\top \epsilon_{l+1}, \qquad
        \Delta W_l = \frac{\eta}{\pi}\, \epsilon_l f(x_{l-1})^\top

    with errors ε and outputs' precision π as of `PredictionErrors`; values x start from a pass forward, where
    all errors but the outputs' are 0.

    - ``strict``: predictions follow the values. As π → 0 the settled errors over π are backprop's, to O(π).
    - ``fixed_prediction``: predictions and slopes stay those of the pass forward (Millidge et al. 2020). The
      settled errors are backprop's; after n steps those k layers below the outputs are backprop's times the
      probability of k successes or more in n trials, each of probability `rate`.
    - ``z_il``: strict, with steps of rate 1, where layer L − t learns from the errors of step t (Song et al.
      2020), which is backprop exactly. `rate`, `tolerance` and `limit` are without effect.

    Evaluation is by the pass forward, the minimum of F where outputs are free.

    Parameters
    ----------
    variant
        ``strict``, ``fixed_prediction`` or ``z_il``.
    precision
        π.
    rate
        Step of the values' descent.
    tolerance
        Largest slope at which values are settled. 0 takes `limit` steps, as the literature does, and keeps the
        slope that is left in the state as ``residual``.
    limit
        Steps at most.
    """

    variant: str = "strict"
    precision: float = 1.0
    rate: float = 0.1
    tolerance: float = 0.0
    limit: int = 20

    name = "predictive_coding"
    family = "activity differences"
    feedback = "errors of prediction through its own forward weights, transposed"
    locality = "presynaptic activity, and the postsynaptic unit's error neuron"
    phases = 1
    passes = 40.0
    source = "Whittington & Bogacz 2017, Neural Comput; steps of github.com/RobertRosenbaum/Torch2PC"
    optimizer = "momentum:lr=0.02"
    activation = "tanh"
    from_zero = frozenset({"tolerance"})

    def __post_init__(self):
        if self.variant not in VARIANTS:
            raise unknown_name("variant of predictive coding", self.variant, VARIANTS)

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack with a hidden layer and the cost is of its outputs."""
        stack_of(self.name, network, hidden=1)
        needs_outputs_cost(self.name, task)

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Make room for the slope that is left."""
        layers = stack_of(self.name, network, hidden=1).layers
        return {RESIDUAL: layers[0].linear.weight.detach().new_zeros(())}

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give one update."""
        yield self.update(network, task, batch, state, generator)

    @torch.no_grad()
    def update(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Update:
        """Give the update at the values that are come to."""
        stack = stack_of(self.name, network, hidden=1)
        predicting, values, update = prediction_errors(stack, task, batch, self.precision)
        if self.variant == "z_il":
            return update | step_by_step(predicting, values)
        relaxed, errors = self.settled(predicting, values)
        state[RESIDUAL] = relaxed.residual
        # Weights of fixed predictions meet the activities that these were made from.
        at = values if self.variant == "fixed_prediction" else relaxed.activities
        return update | predicting.update(at, errors)

    def settled(self, predicting: PredictionErrors, values: Activities) -> tuple[Relaxed, Activities]:
        """Give where values come to from those of a pass forward, and the errors there.

        Raises
        ------
        ConvergenceError
            The tolerance is above 0 and not met.
        """
        if self.variant == "strict":
            step = descent(predicting.gradient, self.rate)
            relaxed = relax(step, values, self.tolerance, self.limit, "Values")
            return relaxed, predicting.errors(relaxed.activities)
        errors = predicting.errors(values)

        def fixed(moved: Activities) -> Activities:
            return [x - mu for x, mu in zip(moved, values, strict=True)] + errors[-1:]

        step = descent(lambda moved: predicting.slopes(values, fixed(moved)), self.rate)
        relaxed = relax(step, values, self.tolerance, self.limit, "Values")
        return relaxed, fixed(relaxed.activities)


def step_by_step(predicting: PredictionErrors, values: Activities) -> Update:
    """Give the update of each layer at the step at which the outputs' error comes to it."""
    update: Update = {}
    for place in reversed(range(len(predicting.layers))):
        errors = predicting.errors(values)
        update |= predicting.layer_update(place, errors, predicting.answers(values))
        slopes = predicting.slopes(values, errors)
        values = [x - slope for x, slope in zip(values, slopes, strict=True)]
    return update
