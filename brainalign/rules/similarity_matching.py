"""Similarity matching: outputs as similar to each other as inputs are, by lateral inhibition that learns."""

import copy
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.networks.layered import Layer, LayeredNetwork
from brainalign.rules.hebbian_rule import HebbianRule, by_place, correlation, mixed
from brainalign.rules.rule import TRAINABLE, State, Update
from brainalign.rules.stack_needs import stack_of
from brainalign.tasks.task import Batch, Task

LATERAL = TRAINABLE + "lateral."


@dataclass(frozen=True)
class SimilarityMatching(HebbianRule):
    r"""Similarity matching (Pehlevan & Chklovskii 2015), on a plain stack of linear layers.

    .. math::
        \min_Y \lVert X^\top X - Y^\top Y \rVert^2: \qquad
        y = M^{-1} (W x + b), \qquad
        \Delta W = 2 \eta \langle y x^\top - W \rangle, \qquad
        \Delta M = \frac{\eta}{\tau} \langle y y^\top - M \rangle

    y is where the lateral inhibition M has the units of a layer settle: :math:`\dot y = W x + b - M y = 0`,
    solved exactly. M starts as the identity. At the end :math:`F = M^{-1} W` projects onto the principal
    subspace of as many dimensions as the layer has units: :math:`F F^\top = 1`. The network that is probed
    answers with F. A layer with more units than its inputs' rank has an M that becomes singular.

    Parameters
    ----------
    tau
        τ, over which the lateral weights are slower than twice the others.
    """

    tau: float = 0.5

    name = "similarity_matching"
    feedback = "lateral inhibition within the layer"
    passes = 3.1
    source = "Pehlevan, Hu & Chklovskii 2015, Neural Computation (arXiv:1503.00669)"
    optimizer = "sgd:lr=0.01"
    activation = "linear"

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless, besides, the hidden layers are linear."""
        super().check(network, task)
        for layer in stack_of(self.name, network).layers[:-1]:
            if not isinstance(layer.activation, nn.Identity):
                raise NeedsError(
                    f"Rule {self.name!r} solves for where linear units settle; layer {layer.name!r} has a "
                    f"{type(layer.activation).__name__}. Choose activation=linear."
                )

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Give the lateral weights."""
        weights = [(layer.name, layer.linear.weight) for layer in stack_of(self.name, network).layers[:-1]]
        return {LATERAL + name: torch.eye(len(w), dtype=w.dtype, device=w.device) for name, w in weights}

    def answer(self, layer: Layer, a: Float[Tensor, "sample ..."], state: State) -> Float[Tensor, "sample ..."]:
        """Let the units settle."""
        lateral = state[LATERAL + layer.name]
        return torch.linalg.solve(lateral.T, a.movedim(1, -1), left=False).movedim(-1, 1)

    def layer_update(self, layer: Layer, x: Tensor, a: Tensor, y: Tensor, batch: Batch, state: State) -> Update:
        """Give minus the changes of W and M."""
        rows, lateral = by_place(y), LATERAL + layer.name
        return {
            f"{layer.name}.weight": 2 * (layer.linear.weight - correlation(layer, y, x)),
            lateral: (state[lateral] - rows.T @ rows / len(rows)) / self.tau,
        }

    @torch.no_grad()
    def inference(self, network: nn.Module, state: State) -> LayeredNetwork:
        """Give the network with F in place of W, and M⁻¹b in place of b."""
        settled = copy.deepcopy(stack_of(self.name, network))
        for layer in settled.layers[:-1]:
            lateral = torch.linalg.inv(state[LATERAL + layer.name])
            layer.linear.weight.copy_(mixed(lateral, layer.linear.weight))
            if layer.linear.bias is not None:
                layer.linear.bias.copy_(lateral @ layer.linear.bias)
        return settled
