"""Boltzmann machine learning: how often two units are active together, outputs clamped, less outputs free."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.names import unknown_name
from brainalign.rules.binary_units import drawn_binary, needs_sigmoid
from brainalign.rules.local_heads import one_hot
from brainalign.rules.relaxation import Activities
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.rules.stack_needs import needs_categories, stack_of
from brainalign.rules.symmetric_stack import SymmetricStack, bottom_up, settled_network
from brainalign.tasks.task import Batch, Task

VARIANTS = ("sampled", "exact")
MOST_UNITS = 16


@dataclass(frozen=True)
class Boltzmann(LearningRule):
    r"""Boltzmann machine learning (Ackley, Hinton & Sejnowski 1985), on a stack of layers with feedback.

    .. math::
        p(h, y \mid x) \propto e^{-E}, \quad E = -\sum_l h_l^\top (W_l h_{l-1} + b_l), \qquad
        \Delta W_l = \eta \left( \langle h_l h_{l-1}^\top \rangle^+ - \langle h_l h_{l-1}^\top \rangle^- \right)

    with binary units, 0 or 1, below inputs x that stay clamped: plus with the outputs clamped to one for the
    category and zero elsewhere, minus with the outputs free. It is the gradient of :math:`\log p(y \mid x)`.
    Each pair of units counts once. `inference` gives the mean-field equilibrium, σ in place of draws, whose
    outputs answer with their net input, as logits.

    Parameters
    ----------
    variant
        ``sampled``: by Gibbs sampling from the activities of a pass forward; or ``exact``: by enumeration of
        all states of at most 16 units.
    sweeps
        Sweeps of Gibbs sampling in each phase, of which the second half counts.
    tolerance, limit
        Of the mean-field equilibrium, as of `SymmetricStack`.
    """

    variant: str = "sampled"
    sweeps: int = 20
    tolerance: float = 1e-5
    limit: int = 1000

    name = "boltzmann"
    family = "activity differences"
    feedback = "its own forward weights, transposed, while activity is random"
    locality = "coincidences of pre- and postsynaptic activity in two phases"
    phases = 2
    passes = 95.0
    source = "Ackley, Hinton & Sejnowski 1985, Cogn Sci"
    optimizer = "momentum:lr=0.1"
    activation = "sigmoid"

    def __post_init__(self):
        if self.variant not in VARIANTS:
            raise unknown_name("variant of Boltzmann machine learning", self.variant, VARIANTS)

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack of sigmoid units and the task names categories."""
        layers = stack_of(self.name, network, hidden=1).layers
        needs_categories(self.name, task)
        needs_sigmoid(self.name, layers[:-1])

    def inference(self, network: nn.Module, state: State) -> nn.Module:
        """Give the network at its free mean-field equilibrium."""
        return settled_network(stack_of(self.name, network), self.settling(network))

    def settling(self, network: nn.Module) -> SymmetricStack:
        """Give the network with feedback, outputs being sigmoid as well."""
        *hidden, last = stack_of(self.name, network, hidden=1).layers
        layers = (*hidden, replace(last, activation=nn.Sigmoid()))
        return SymmetricStack(layers, tolerance=self.tolerance, limit=self.limit)

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give one update."""
        yield self.update(network, task, batch, state, generator)

    @torch.no_grad()
    def update(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Update:
        """Give the minus phase's coincidences less the plus phase's."""
        stack = self.settling(network)
        assert batch.targets is not None
        start = stack.forward_activities(batch.inputs)
        wanted = one_hot(batch.targets, task.n_outputs, batch.inputs)
        if self.variant == "exact":
            free, clamped = coincidences(stack, start, False), coincidences(stack, [*start[:-1], wanted], True)
        else:
            free = self.sampled(stack, start, False, generator)
            clamped = self.sampled(stack, [*start[:-1], wanted], True, generator)
        return {name: free[name] - clamped[name] for name in free}

    def sampled(
        self, stack: SymmetricStack, start: Activities, clamped: bool, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Give the mean products of connected units, and of units, over samples and later sweeps."""
        activities, first_layer, total = list(start), stack.layers[0], {}
        drive, active = bottom_up(first_layer, start[0], bias=True), torch.zeros_like(start[1])
        first = self.sweeps // 2
        share = 1 / (len(start[0]) * (self.sweeps - first))
        for sweep in range(self.sweeps):
            for place in reversed(range(len(stack.layers) - clamped)):
                probability = torch.sigmoid(stack.total_input(place, activities, drive))
                activities[place + 1] = drawn_binary(probability, generator)
            if sweep >= first:
                active += share * activities[1]
                for layer, below, h in zip(stack.layers[1:], activities[1:], activities[2:], strict=False):
                    for name, each in layer.weight_gradient(share * h, below).items():
                        total[name] = total.get(name, 0) + each
        # Inputs stay, so that their products with the mean are the mean of the products.
        return first_layer.weight_gradient(active, start[0]) | total


def coincidences(stack: SymmetricStack, activities: Activities, clamped: bool) -> dict[str, Tensor]:
    """Give the exact mean products, by all states of the units.

    Raises
    ------
    NeedsError
        More than 16 units.
    """
    x, outputs = activities[0], activities[-1]
    free = activities[1 : len(activities) - clamped]
    sizes = [prod(each.shape[1:]) for each in free]
    if sum(sizes) > MOST_UNITS:
        raise NeedsError(
            f"Boltzmann machine learning enumerates the states of {MOST_UNITS} units at most; this network has "
            f"{sum(sizes)}. Choose variant=sampled."
        )
    states = x.new_tensor(list(product((0.0, 1.0), repeat=sum(sizes))))
    n = len(states)
    parts = [part.reshape(n, *like.shape[1:]) for part, like in zip(states.split(sizes, 1), free, strict=True)]
    tiled = [x.repeat_interleave(n, 0), *(part.repeat(len(x), *[1] * (part.ndim - 1)) for part in parts)]
    if clamped:
        tiled.append(outputs.repeat_interleave(n, 0))
    energy = energies(stack, tiled).view(len(x), n)
    weight = torch.softmax(-energy, 1).flatten() / len(x)
    found: dict[str, Tensor] = {}
    for place, layer in enumerate(stack.layers):
        h = tiled[place + 1]
        found |= layer.weight_gradient(h * weight.view(-1, *[1] * (h.ndim - 1)), tiled[place])
    return found


def energies(stack: SymmetricStack, activities: Activities) -> Float[Tensor, " sample"]:
    """Give −Σ h_lᵀ (W_l h_{l−1} + b_l) of each sample."""
    terms = [
        (h * layer.preactivation(below)).flatten(1).sum(1)
        for layer, below, h in zip(stack.layers, activities, activities[1:], strict=False)
    ]
    return -torch.stack(terms).sum(0)
