"""Körding & König: spikes that reach the dendrite teach it; inhibition stops them, top-down input helps."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.networks.layered import Layer
from brainalign.rules.hebb import Hebb
from brainalign.rules.hebbian_rule import correlation
from brainalign.rules.local_heads import one_hot
from brainalign.rules.rule import State, Update
from brainalign.rules.stack_needs import stack_of
from brainalign.tasks.task import Batch, Task

TOP_DOWN = "top_down."


@dataclass(frozen=True)
class KoerdingKoenig(Hebb):
    r"""Two sites of synaptic integration (after Körding & König 2000), as rates, on a stack of layers.

    .. math::
        \Delta W = \eta\, \langle (r \circ (1 + \gamma\, t) \circ y)\, x^\top \rangle, \qquad
        r_i = [\,y_i > 0,\ y_i \ge \kappa \max_j y_j\,]

    r says whether the cell's action potential travels back into its dendrite, where lateral inhibition by
    the most active cell lets it; t, in 0 and 1, whether top-down input arrives at the apical dendrite then,
    so that a calcium spike makes potentiation 1 + γ times as strong. Cells keep norms of 1, as under `Hebb`.
    Where the task names categories, each of a share of the cells, drawn at random, has top-down input while its
    own category is shown: it is recruited. Other cells, and all under other tasks, learn without. The
    numbers here are the library's; the paper has spikes and conductances.

    Parameters
    ----------
    inhibition
        κ, from 0 (none) to 1 (only the most active cell learns).
    calcium
        γ; 0 for no top-down input.
    recruited
        Share of the cells that have top-down input, up to 1.
    """

    inhibition: float = 0.8
    calcium: float = 4.0
    recruited: float = 0.5

    name = "koerding_koenig"
    family = "dendritic"
    feedback = "lateral inhibition of dendrites, and the category shown as input to apical dendrites"
    locality = "pre- and postsynaptic activity, and two events in the postsynaptic cell's dendrite"
    source = "after Körding & König 2000, Neural Networks (doi:10.1016/S0893-6080(99)00088-X)"
    from_zero = frozenset({"inhibition", "calcium", "recruited"})

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless, besides, the options can be."""
        super().check(network, task)
        if self.inhibition > 1 or self.recruited > 1:
            raise NeedsError(
                f"Rule {self.name!r} was given inhibition={self.inhibition:g} and "
                f"recruited={self.recruited:g}; both are 1 at most."
            )

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw which cells have top-down input with which category, (cell, category) in 0 and 1."""
        state = super().init(network, task, generator)
        if not (task.names_categories and self.calcium):
            return state
        for layer in stack_of(self.name, network).layers[:-1]:
            like, n = layer.linear.weight, len(layer.linear.weight)
            order = torch.randperm(n, generator=generator)
            chosen = one_hot(order % task.n_outputs, task.n_outputs, like)
            among = (order < round(self.recruited * n)).to(like.dtype)
            state[TOP_DOWN + layer.name] = (chosen * among[:, None]).to(like.device, like.dtype)
        return state

    def layer_update(self, layer: Layer, x: Tensor, a: Tensor, y: Tensor, batch: Batch, state: State) -> Update:
        """Give minus the change."""
        learning = y * arriving(y, self.inhibition)
        assigned = state.get(TOP_DOWN + layer.name)
        if assigned is not None and batch.targets is not None:
            spikes = one_hot(batch.targets, assigned.shape[1], assigned) @ assigned.T
            learning = learning * (1 + self.calcium * spikes).view(*spikes.shape, *[1] * (y.ndim - 2))
        return {f"{layer.name}.weight": -correlation(layer, learning, x)}


def arriving(y: Float[Tensor, "sample unit ..."], inhibition: float) -> Float[Tensor, "sample unit ..."]:
    """Say where action potentials reach the dendrite, 1 or 0.

    Examples
    --------
    >>> arriving(torch.tensor([[4.0, 3.0, 0.0]]), 0.8)
    tensor([[1., 0., 0.]])
    """
    return ((y > 0) & (y >= inhibition * y.amax(1, keepdim=True))).to(y.dtype)
