"""Segregated dendrites: apical plateaus, with and without a teacher, say what basal synapses learn."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.rules.local_heads import drawn, sample_answers
from brainalign.rules.output_error import output_error
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.rules.stack_needs import needs_outputs_cost, stack_of
from brainalign.tasks.task import Batch, Task

FEEDBACK = "feedback."


@dataclass(frozen=True)
class SegregatedDendrites(LearningRule):
    r"""Two phases with segregated dendrites (Guerguiev et al. 2017), as rates, on a stack of layers.

    .. math::
        \alpha^f_l = \sigma(Y_l\, y), \qquad
        \alpha^t_l = \sigma(Y_l\, (y - s\, e)), \qquad
        \Delta W_l = \eta\, \big((\alpha^t_l - \alpha^f_l) \circ f'(a_l)\big) h_{l-1}^\top

    y are the outputs and e = ∂C/∂y; α are the plateau potentials of the apical dendrites, which see the outputs
    through fixed random weights Y at the end of a phase: forward, and then with a teaching current at the
    outputs. The update is the gradient of :math:`\frac12 \lVert h_l + \alpha^t_l - \alpha^f_l - h_l^0 \rVert^2`
    at the forward phase's answer. The outputs learn from e itself. All hidden layers see the outputs directly.
    To first order in Y, :math:`\alpha^t - \alpha^f = -\frac{s}{4} Y e`: direct feedback alignment with B = Y.
    The authors have spikes, whose rates these are.

    Parameters
    ----------
    scale
        Standard deviation of Y times the root of the number of outputs.
    teaching
        s, the strength of the teaching current; at 1 outputs under a squared error reach their targets.
    """

    scale: float = 1.0
    teaching: float = 1.0

    name = "segregated_dendrites"
    family = "dendritic"
    feedback = "the outputs, through fixed random weights, onto apical dendrites"
    locality = "pre- and postsynaptic activity, and the unit's plateau potentials in two phases"
    phases = 2
    passes = 2.2
    source = "Guerguiev, Lillicrap & Richards 2017, eLife (doi:10.7554/eLife.22901)"
    optimizer = "momentum:lr=0.05"
    activation = "sigmoid"

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack and the cost is of its outputs."""
        stack_of(self.name, network)
        needs_outputs_cost(self.name, task)

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw Y, (units, outputs) for each hidden layer."""
        stack, state = stack_of(self.name, network), {}
        for layer, answer in zip(stack.layers[:-1], sample_answers(stack, task), strict=False):
            shape = (prod(answer.shape[1:]), task.n_outputs)
            state[FEEDBACK + layer.name] = drawn(shape, generator, answer, self.scale)
        return state

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give each layer's update after both phases."""
        layers, n = stack_of(self.name, network).layers, len(batch)
        with torch.no_grad():
            preactivations, answers = stack_of(self.name, network).activity(batch.inputs)
            outputs = answers[-1]
            error, update = output_error(task, batch, outputs)
            for place, layer in enumerate(layers[:-1]):
                weight = state[FEEDBACK + layer.name]
                rise = plateau(weight, outputs - self.teaching * error) - plateau(weight, outputs)
                a = preactivations[place]
                delta = layer.before_activation(-rise.view_as(a) / n, a, answers[place + 1])
                update |= layer.weight_gradient(delta, answers[place])
            delta = layers[-1].before_activation(error / n, preactivations[-1], outputs)
            update |= layers[-1].weight_gradient(delta, answers[-2])
        yield update


def plateau(
    weight: Float[Tensor, "unit output"], outputs: Float[Tensor, "sample output"]
) -> Float[Tensor, "sample unit"]:
    """Give plateau potentials: σ of the apical potentials."""
    return torch.sigmoid(outputs @ weight.T)
