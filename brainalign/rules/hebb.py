"""Hebb: synapses grow where pre- and postsynaptic activity meet."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brainalign.networks.layered import Layer
from brainalign.rules.hebbian_rule import HebbianRule, correlation, hidden_layers
from brainalign.rules.rule import State, Update
from brainalign.rules.synaptic_normalisation import NORM, normalise_synapses
from brainalign.tasks.task import Batch, Task


@dataclass(frozen=True)
class Hebb(HebbianRule):
    r"""Hebbian learning (Hebb 1949), on a plain stack of layers.

    .. math:: \Delta W = \eta\, \langle y x^\top \rangle

    With linear units and inputs whose second moments are C, :math:`W \leftarrow (1 + \eta C) W`: weights grow
    as :math:`e^{\eta \lambda_1 t}`, and their direction becomes that of the first principal component
    (of inputs that are not centred: the first eigenvector of C). So they are rescaled, by default.

    Nothing tells the neurons of a layer apart: all come to that one direction, up to its sign, and the
    layer's answers to one dimension, so that a read-out of categories falls to what one number tells, within
    a hundred steps on the digits. It is the rule that does so. `sanger` and `similarity_matching` keep
    neurons apart by what others already answer, `krotov_hopfield` and `softhebb` by competition.

    Parameters
    ----------
    normalise
        Whether the incoming weights of each neuron are rescaled to a norm of 1 after each update.
    """

    normalise: bool = True

    name = "hebb"
    passes = 1.9
    source = "Hebb 1949, The Organization of Behavior"
    optimizer = "sgd:lr=0.01"

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Give the norms that are kept, of weights that may change."""
        if not self.normalise:
            return {}
        weights = [(layer.name, layer.linear.weight) for layer in hidden_layers(self.name, network)]
        return {
            f"{NORM}{name}.weight": torch.ones((), dtype=weight.dtype, device=weight.device)
            for name, weight in weights
            if weight.requires_grad
        }

    def layer_update(self, layer: Layer, x: Tensor, a: Tensor, y: Tensor, batch: Batch, state: State) -> Update:
        """Give −⟨y xᵀ⟩."""
        return {f"{layer.name}.weight": -correlation(layer, y, x)}

    def after_update(self, network: nn.Module, state: State) -> None:
        """Rescale the incoming weights of each neuron, if they are to be."""
        normalise_synapses(network, state)
