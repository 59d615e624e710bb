"""Sanger's generalised Hebbian algorithm: each neuron learns from what those before it leave unexplained."""

from dataclasses import dataclass

from torch import Tensor

from brainalign.networks.layered import Layer
from brainalign.rules.hebbian_rule import HebbianRule, by_place, correlation, mixed
from brainalign.rules.rule import State, Update
from brainalign.tasks.task import Batch


@dataclass(frozen=True)
class Sanger(HebbianRule):
    r"""The generalised Hebbian algorithm (Sanger 1989), on a plain stack of layers.

    .. math:: \Delta w_i = \eta\, \Big\langle y_i \Big(x - \sum_{k \le i} y_k w_k\Big) \Big\rangle

    With linear units the weights become the eigenvectors of the inputs' second moments, in order and with
    norms of 1, where eigenvalues stand apart and η is below the inverse of the first. A neuron after the
    inputs' rank has no more to find.
    """

    name = "sanger"
    locality = "pre- and postsynaptic activity, and the weights of the neurons before it"
    passes = 7.1
    source = "Sanger 1989, Neural Networks (doi:10.1016/0893-6080(89)90044-0)"
    optimizer = "sgd:lr=0.01"
    activation = "linear"

    def layer_update(self, layer: Layer, x: Tensor, a: Tensor, y: Tensor, batch: Batch, state: State) -> Update:
        """Give −⟨y xᵀ⟩ + LT(⟨y yᵀ⟩) W, LT being the lower triangle with the diagonal."""
        rows = by_place(y)
        explained = mixed((rows.T @ rows / len(rows)).tril(), layer.linear.weight)
        return {f"{layer.name}.weight": explained - correlation(layer, y, x)}
