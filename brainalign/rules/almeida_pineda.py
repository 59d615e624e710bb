"""Almeida-Pineda learning (recurrent backprop): the gradient at an equilibrium, by errors that settle."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.rules.output_error import output_error
from brainalign.rules.relaxation import RESIDUAL, Activities, Relaxed, change, relax
from brainalign.rules.rule import State, Update
from brainalign.rules.settling_rule import SettlingRule
from brainalign.rules.symmetric_stack import SymmetricStack, bottom_up
from brainalign.tasks.task import Batch, Task


@dataclass(frozen=True)
class AlmeidaPineda(SettlingRule):
    r"""Recurrent backprop (Almeida 1987, Pineda 1987), on a stack of layers with feedback.

    .. math::
        s = F(s, \theta), \qquad \lambda = J^\top \lambda + \partial C / \partial s, \qquad
        \Delta\theta = -\eta\, \lambda^\top \partial F / \partial\theta

    with J = ∂F/∂s. Errors λ run through the network's own connections the other way until they settle, as do
    activities; the sum is the exact gradient of the cost at the equilibrium. A weight is used twice, upwards
    and, times the gain, downwards, and learns from both.
    """

    name = "almeida_pineda"
    family = "activity differences"
    feedback = "errors in a second network, with the connections reversed, that settles by itself"
    locality = "presynaptic activity at the equilibrium, and the postsynaptic unit's settled error"
    phases = 2
    passes = 44.0
    source = "Almeida 1987, ICNN; Pineda 1987, Phys Rev Lett"
    optimizer = "adam:lr=1e-3"

    @torch.no_grad()
    def update(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Update:
        """Give the gradient of the mean cost at the equilibrium."""
        stack, n = self.settling(network), len(batch)
        activities = self.settled(stack, state, stack.forward_activities(batch.inputs))
        error, update = output_error(task, batch, activities[-1])
        relaxed = settled_errors(stack, activities, error)
        state[RESIDUAL] = torch.maximum(state[RESIDUAL], relaxed.residual)
        errors = relaxed.activities
        for place, layer in enumerate(stack.layers):
            found = layer.weight_gradient(errors[place] / n, activities[place])
            if place:
                down = layer.weight_gradient(activities[place + 1] * (stack.gain / n), errors[place - 1])
                found[f"{layer.name}.weight"] += down[f"{layer.name}.weight"]
            update |= found
        return update


def settled_errors(
    stack: SymmetricStack, activities: Activities, error: Float[Tensor, "sample output"]
) -> Relaxed:
    """Give f′(u) ∘ λ of each layer, from the errors of the outputs.

    Raises
    ------
    ConvergenceError
        The errors do not settle: activities are at no stable equilibrium.
    """
    layers = stack.layers
    slopes = [layer.derivative(stack.total_input(place, activities)) for place, layer in enumerate(layers)]

    def sweep(before: Activities) -> tuple[Activities, Tensor]:
        after = list(before)
        for place in reversed(range(len(layers))):
            if place + 1 == len(layers):
                received = error
            else:
                received = layers[place + 1].transpose(after[place + 1], activities[place + 1])
            if place:
                received = received + stack.gain * bottom_up(layers[place], after[place - 1])
            after[place] = slopes[place] * received
        return after, change(before, after)

    start = [torch.zeros_like(each) for each in activities[1:]]
    return relax(sweep, start, stack.tolerance, stack.limit, "The error network")
