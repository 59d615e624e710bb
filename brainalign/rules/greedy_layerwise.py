"""Greedy layer-wise learning: one layer after another, each under a classifier of its own, then frozen."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brainalign.errors import NeedsError
from brainalign.networks.layered import Layer
from brainalign.rules.local_heads import (
    HEAD,
    drawn,
    free,
    gradient_of,
    pooled,
    same_size_shape,
    sample_answers,
    through,
)
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.rules.stack_needs import needs_categories, stack_of
from brainalign.tasks.task import Batch, Task

STEP = "step"
KERNEL = 3


@dataclass(frozen=True)
class GreedyLayerwise(LearningRule):
    r"""Greedy layer-wise learning (Belilovsky et al. 2019), on a stack of layers.

    .. math:: \Delta W_l = -\eta\, \frac{\partial}{\partial W_l} C(A_l(h_l), t) \quad
        \text{while } l = \lfloor \mathrm{step} / \mathrm{steps} \rfloor, \text{ else } 0

    Each hidden layer learns together with an auxiliary head A, which ends in a linear map of the layer's
    (pooled) answer, for so many steps; then it is frozen, and the next one learns on what it answers. The
    read-out learns all the time, with the task's cost of its own answer, so that the outputs tell how far the
    stack has come; after the last hidden layer's turn it learns alone. Steps are counted in the state.

    Parameters
    ----------
    steps
        Steps of each hidden layer.
    head_layers
        Layers of a head: 1 is linear; 2 and 3 have layers as wide as the hidden one before the linear map,
        3 × 3 convolutions on feature maps, with the hidden layer's activation.
    """

    steps: int = 100
    head_layers: int = 1

    name = "greedy_layerwise"
    family = "local losses"
    feedback = "the error of an auxiliary classifier of the layer's own, through its weights"
    locality = "pre- and postsynaptic activity, and the error of a head beside the layer"
    phases = 1
    passes = 1.2
    source = "Belilovsky, Eickenberg & Oyallon 2019, ICML (arXiv:1812.11446)"

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack, the task names categories and the options can be."""
        stack_of(self.name, network)
        needs_categories(self.name, task)
        if self.head_layers not in (1, 2, 3) or self.steps < 1:
            raise NeedsError(
                f"Rule {self.name!r} was given steps={self.steps} and head_layers={self.head_layers}; it "
                "needs one step or more for each layer, and heads of 1, 2 or 3 layers."
            )

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw the heads, and start counting."""
        stack = stack_of(self.name, network)
        device = stack.layers[0].linear.weight.device
        state: State = {STEP: torch.zeros((), dtype=torch.int64, device=device)}
        for layer, answer in zip(stack.layers[:-1], sample_answers(stack, task), strict=False):
            key, like = HEAD + layer.name, layer.linear.weight
            shapes = [same_size_shape(answer, KERNEL)] * (self.head_layers - 1)
            shapes.append((task.n_outputs, pooled(answer).flatten(1).shape[1]))
            for place, shape in enumerate(shapes):
                gain = 1.0 if place == len(shapes) - 1 else 2**0.5
                state[f"{key}.{place}.weight"] = drawn(shape, generator, like, gain)
                state[f"{key}.{place}.bias"] = torch.zeros(shape[0], dtype=like.dtype, device=device)
        return state

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give the gradients of the layer whose turn it is and of the read-out."""
        *hidden, readout = stack_of(self.name, network).layers
        turn, x = int(state[STEP]) // self.steps, batch.inputs
        state[STEP] = state[STEP] + 1
        cost, parameters = x.new_zeros(()), _parameters(readout)
        for place, layer in enumerate(hidden):
            if place == turn:
                heads = free({k: each for k, each in state.items() if k.startswith(f"{HEAD}{layer.name}.")})
                answer = layer.activation(layer.preactivation(x))
                cost = cost + task.cost(self._head(layer, answer, heads), batch).mean()
                parameters |= _parameters(layer) | heads
                x = answer.detach()
            else:
                with torch.no_grad():
                    x = layer.activation(layer.preactivation(x))
        cost = cost + task.cost(readout.activation(readout.preactivation(x)), batch).mean()
        yield gradient_of(task.weight(batch.step) * cost, parameters)

    def _head(self, layer: Layer, x: Tensor, heads: Mapping[str, Tensor]) -> Tensor:
        weights = [
            (heads[f"{HEAD}{layer.name}.{place}.weight"], heads[f"{HEAD}{layer.name}.{place}.bias"])
            for place in range(self.head_layers)
        ]
        for weight, bias in weights[:-1]:
            x = layer.activation(through(x, weight, bias))
        return F.linear(pooled(x).flatten(1), *weights[-1])


def _parameters(layer: Layer) -> dict[str, Tensor]:
    return {f"{layer.name}.{key}": each for key, each in layer.linear.named_parameters()}
