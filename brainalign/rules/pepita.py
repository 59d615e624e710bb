"""PEPITA: a second pass on an input that the error has changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import torch
from torch import nn

from brainalign.rules.output_error import output_error
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.rules.stack_needs import needs_outputs_cost, stack_of
from brainalign.tasks.task import Batch, Task

FEEDBACK = "feedback"


@dataclass(frozen=True)
class Pepita(LearningRule):
    r"""Present the error to perturb the input to modulate activity (PEPITA), on a stack of layers.

    .. math::
        \tilde h_0 = x + F e, \qquad
        \Delta W_l = -\eta\, (h_l - \tilde h_l)\, \tilde h_{l-1}^\top, \qquad
        \Delta W_L = -\eta\, \tilde e\, \tilde h_{L-1}^\top

    with e = ∂C/∂a of the outputs (softmax minus the labels under cross-entropy) and a tilde for the second
    pass. F is drawn once, uniform within √(6 / inputs) times `scale`. To first order in F,
    :math:`h_1 - \tilde h_1 = -f' \circ (W_1 F e)`: direct feedback whose weights are −W₁F. Both passes leave
    out the same units where a network has dropout; a `LayeredNetwork` has none.

    Parameters
    ----------
    scale
        Factor of F.
    second_error
        Whether the outputs learn from the error of the second pass, as in the authors' code, or from that of
        the first, as in their text.
    biases
        Whether biases learn, as if from an input that is always 1; the authors have none.
    """

    scale: float = 0.05
    second_error: bool = True
    biases: bool = False

    name = "pepita"
    family = "forward only"
    feedback = "the outputs' error through fixed random weights, onto the input"
    locality = "pre- and postsynaptic activity in two passes"
    phases = 2
    passes = 3.0
    source = "Dellaferrera & Kreiman 2022, ICML (arXiv:2201.11665)"
    optimizer = "momentum:lr=0.01"

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack and the cost is of its outputs."""
        stack_of(self.name, network)
        needs_outputs_cost(self.name, task)

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw F, (inputs, outputs)."""
        like = stack_of(self.name, network).layers[0].linear.weight
        n_inputs = prod(next(task.held_out(1)).inputs.shape[1:])
        uniform = torch.rand(n_inputs, task.n_outputs, generator=generator, dtype=like.dtype)
        return {FEEDBACK: (self.scale * (6 / n_inputs) ** 0.5 * (2 * uniform - 1)).to(like.device)}

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give what the two passes say."""
        stack = stack_of(self.name, network)
        with torch.no_grad():
            _, answers = stack.activity(batch.inputs)
            error, update = output_error(task, batch, answers[-1])
            shift = (error @ state[FEEDBACK].T).reshape(batch.inputs.shape)
            _, modulated = stack.activity(batch.inputs + shift)
            if self.second_error:
                error, _ = output_error(task, batch, modulated[-1])
            n = len(batch)
            for place, layer in enumerate(stack.layers[:-1]):
                difference = answers[place + 1] - modulated[place + 1]
                update |= layer.weight_gradient(difference / n, modulated[place])
            update |= stack.layers[-1].weight_gradient(error / n, modulated[-2])
        if not self.biases:
            for layer in stack.layers:
                update.pop(f"{layer.name}.bias", None)
        yield update
