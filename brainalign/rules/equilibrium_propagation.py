"""Equilibrium propagation: what an equilibrium changes by when the outputs are nudged."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brainalign.names import unknown_name
from brainalign.rules.output_error import output_error
from brainalign.rules.relaxation import Activities
from brainalign.rules.rule import State, Update
from brainalign.rules.settling_rule import SettlingRule
from brainalign.rules.symmetric_stack import OfOutputs
from brainalign.tasks.task import Batch, Task

VARIANTS = ("one_sided", "random_sign", "symmetric")


@dataclass(frozen=True)
class EquilibriumPropagation(SettlingRule):
    r"""Equilibrium propagation (Scellier & Bengio 2017), on a stack of layers with feedback.

    .. math::
        s^\beta = \arg\min_s E(s, \theta) + \beta C(s), \qquad
        \Delta\theta = -\frac{\eta}{\beta} \left[ \frac{\partial E}{\partial\theta}(s^\beta)
        - \frac{\partial E}{\partial\theta}(s^0) \right]

    with E as of `SymmetricStack`, so that :math:`\Delta W_l = \frac{\eta}{\beta} (h_l^\beta h_{l-1}^{\beta\top}
    - h_l^0 h_{l-1}^{0\top})`. As β → 0 it is the gradient of the cost at the free equilibrium, to O(β);
    ``symmetric`` holds β against −β over 2β, to O(β²) (Laborieux et al. 2021). Where β is large, −β may leave
    no minimum, and raises `ConvergenceError`. Nudged phases start from the free equilibrium.

    Parameters
    ----------
    variant
        ``one_sided``; ``random_sign``: β's sign is drawn for each batch; or ``symmetric``.
    beta
        β, the strength of the nudge.

    Examples
    --------
    >>> EquilibriumPropagation(variant="symmetric").signs(torch.Generator())
    (1.0, -1.0)
    """

    variant: str = "random_sign"
    beta: float = 0.5

    name = "equilibrium_propagation"
    family = "activity differences"
    feedback = "its own forward weights, transposed, in an equilibrium that the cost nudges"
    locality = "pre- and postsynaptic activity at two equilibria"
    phases = 2
    passes = 51.0
    source = "Scellier & Bengio 2017, Front Comput Neurosci; symmetric: Laborieux et al. 2021, Front Neurosci"
    optimizer = "adam:lr=1e-3"

    def __post_init__(self):
        if self.variant not in VARIANTS:
            raise unknown_name("variant of equilibrium propagation", self.variant, VARIANTS)

    @torch.no_grad()
    def update(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Update:
        """Give the difference of the energy's gradients between equilibria, over β."""
        stack = self.settling(network)
        free = self.settled(stack, state, stack.forward_activities(batch.inputs))
        _, update = output_error(task, batch, free[-1])

        activation = stack.layers[-1].activation.forward

        def equilibrium(sign: float) -> Activities:
            of_outputs = nudged(sign * self.beta, activation, task, batch)
            return self.settled(stack, state, free, of_outputs) if sign else free

        first, second = self.signs(generator)
        at_first, at_second = (stack.products(equilibrium(sign)) for sign in (first, second))
        distance = (first - second) * self.beta
        return update | {name: (at_second[name] - at_first[name]) / distance for name in at_first}

    def signs(self, generator: torch.Generator) -> tuple[float, float]:
        """Give the signs of the two nudges that are compared; 0 is the free equilibrium."""
        if self.variant == "symmetric":
            return 1.0, -1.0
        if self.variant == "one_sided":
            return 1.0, 0.0
        return float(2 * torch.randint(2, (), generator=generator) - 1), 0.0


def nudged(beta: float, activation: Callable[[Tensor], Tensor], task: Task, batch: Batch) -> OfOutputs:
    """Give what output units do under a nudge: h ← h + (f(u − β ∂C/∂h) − h) / (1 + |β|).

    For linear outputs and β > 0 the step is to the minimum under half the squared error, and not past it
    under costs that curve less.
    """

    def step(u: Tensor, outputs: Tensor) -> Tensor:
        error, _ = output_error(task, batch, outputs)
        return outputs + (activation(u - beta * error) - outputs) / (1 + abs(beta))

    return step
