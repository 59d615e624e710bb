"""Krotov & Hopfield: the most active unit learns, a runner-up unlearns."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from brainalign.errors import NeedsError
from brainalign.networks.layered import Layer
from brainalign.rules.hebbian_rule import HebbianRule, by_place, correlation, each_unit, hidden_layers
from brainalign.rules.rule import State, Update
from brainalign.tasks.task import Batch, Task

PRECISION = 1e-30


@dataclass(frozen=True)
class KrotovHopfield(HebbianRule):
    r"""Competing hidden units (Krotov & Hopfield 2019), on a plain stack of layers.

    .. math::
        \Delta W = \varepsilon\, \frac{D}{\max |D|}, \qquad
        D_i = \sum_{\mathrm{batch}} g_i\, (v - I_i w_i), \qquad
        I_i = \sum_j \operatorname{sign}(w_{ij})\, |w_{ij}|^{p - 1} v_j

    with g = 1 for the unit of the largest I, −Δ for the k-th and 0 for others. Units that win come to
    :math:`\sum_j |w_{ij}|^p = 1`; one that never wins keeps its weights. ε is the learning rate, which the
    authors let fall linearly to 0. They train one layer from weights of variance 1, whose large norms fall as
    units win, so that each unit has its turn; here each hidden layer learns, on what those below answer, from
    the network's own weights. From the smaller ones of ``mlp`` and ``convnet`` units that win go on winning,
    runners-up turn against the mean input, and at the authors' rate of 0.02 answers come to one dimension
    within a hundred steps on the digits, so the default is a hundredth of it.

    Parameters
    ----------
    p
        Power of the norm that weights come to, 2 or above.
    k
        Rank of the unit that unlearns.
    unlearning
        Δ.
    decay_steps
        Steps over which ε falls to 0; 0 to keep it.
    """

    p: float = 2.0
    k: int = 2
    unlearning: float = 0.4
    decay_steps: int = 0

    name = "krotov_hopfield"
    feedback = "lateral inhibition within the layer: the rank of each unit"
    locality = "pre- and postsynaptic activity, and the unit's rank in its layer"
    passes = 2.9
    source = "Krotov & Hopfield 2019, PNAS (arXiv:1806.10181)"
    optimizer = "sgd:lr=2e-4"
    from_zero = frozenset({"unlearning", "decay_steps"})

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless, besides, the options can be."""
        super().check(network, task)
        fewest = min(len(layer.linear.weight) for layer in hidden_layers(self.name, network))
        if not 2 <= self.k <= fewest or self.p < 2:
            raise NeedsError(
                f"Rule {self.name!r} was given k={self.k} and p={self.p:g}; it needs a rank from 2 to "
                f"{fewest}, the units of the smallest hidden layer, and a power of 2 or above."
            )

    def layer_update(self, layer: Layer, x: Tensor, a: Tensor, y: Tensor, batch: Batch, state: State) -> Update:
        """Give −D / max|D|, times what is left of ε."""
        weight = layer.linear.weight
        powered = {"weight": weight.sign() * weight.abs() ** (self.p - 1)}
        driven = functional_call(layer.linear, powered, layer.arranged(x))
        g = ranked(driven, self.k, self.unlearning)
        change = correlation(layer, g, x) - each_unit(by_place(g * driven).mean(0), weight)
        left = max(0.0, 1 - batch.step / self.decay_steps) if self.decay_steps else 1.0
        return {f"{layer.name}.weight": -left * change / change.abs().max().clamp(min=PRECISION)}


def ranked(
    driven: Float[Tensor, "sample unit ..."], k: int, unlearning: float
) -> Float[Tensor, "sample unit ..."]:
    """Give 1 for the most driven unit, −`unlearning` for the k-th, 0 for others, at each place.

    Examples
    --------
    >>> ranked(torch.tensor([[3.0, 1.0, 2.0]]), 2, 0.5)
    tensor([[ 1.0000,  0.0000, -0.5000]])
    """
    places = driven.topk(k, 1).indices
    g = torch.zeros_like(driven)
    g.scatter_(1, places[:, :1], 1.0)
    return g.scatter_(1, places[:, -1:], -unlearning)
