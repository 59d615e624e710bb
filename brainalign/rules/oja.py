"""Oja: Hebbian growth, held back by what the neuron already answers."""

from dataclasses import dataclass

from torch import Tensor

from brainalign.networks.layered import Layer
from brainalign.rules.hebbian_rule import HebbianRule, by_place, correlation, each_unit
from brainalign.rules.rule import State, Update
from brainalign.tasks.task import Batch


@dataclass(frozen=True)
class Oja(HebbianRule):
    r"""Oja's rule (1982), each neuron by itself, on a plain stack of layers.

    .. math:: \Delta w_i = \eta\, \langle y_i (x - y_i w_i) \rangle

    With linear units each neuron's weights become the first eigenvector of the inputs' second moments, with a
    norm of 1, where the first eigenvalue λ stands apart and η is below 1 / λ. All neurons of a layer come to
    the same one, up to its sign; rectified units to one of two. So a read-out of categories falls in the end,
    as under `hebb`; a lower rate only puts it off. A layer above n neurons that have come so far has a first
    eigenvalue of n λ, where a rate that the first layer bears diverges: hence the low default.
    """

    name = "oja"
    passes = 1.9
    source = "Oja 1982, J. Math. Biol. (doi:10.1007/BF00275687)"
    optimizer = "sgd:lr=1e-5"
    activation = "linear"

    def layer_update(self, layer: Layer, x: Tensor, a: Tensor, y: Tensor, batch: Batch, state: State) -> Update:
        """Give −⟨y x⟩ + ⟨y²⟩ w."""
        decay = each_unit(by_place(y).square().mean(0), layer.linear.weight)
        return {f"{layer.name}.weight": decay - correlation(layer, y, x)}
