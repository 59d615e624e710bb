"""What rules with a loss at each layer share: heads of the layers, and no error from one layer to another."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brainalign.errors import NeedsError
from brainalign.networks.layered import Layer, LayeredNetwork
from brainalign.rules.local_heads import (
    HEAD,
    drawn,
    free,
    gradient_of,
    one_hot,
    pooled,
    same_size_shape,
    sample_answers,
    similarity,
    through,
)
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.rules.stack_needs import needs_categories, stack_of
from brainalign.tasks.task import Batch, Task


@dataclass(frozen=True)
class Mixture:
    """What a layer's loss is made of.

    Parameters
    ----------
    prediction
        Weight of the task's cost of a linear head.
    similarity
        Weight of similarity matching.
    kernel
        Width of the convolution before similarities are taken; 0 for no map at all.
    """

    prediction: float
    similarity: float
    kernel: int = 3


@dataclass(frozen=True)
class LocalLosses(LearningRule):
    """A loss at each layer, whose gradient stays there. The read-out pays the task's own cost."""

    family = "local losses"
    phases = 1
    source = "Nøkland & Eidnes 2019, ICML (arXiv:1901.06656)"
    optimizer = "adam:lr=5e-4"

    @property
    @abstractmethod
    def mixture(self) -> Mixture:
        """What a hidden layer's loss is made of."""

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack, the task names categories and the options can be."""
        stack_of(self.name, network)
        needs_categories(self.name, task)
        if self.mixture.kernel and self.mixture.kernel % 2 == 0:
            raise NeedsError(
                f"Rule {self.name!r} was given kernel={self.mixture.kernel}; a convolution keeps the width of "
                "a feature map where its own is odd; 0 is for none."
            )

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw the hidden layers' heads."""
        stack, state = stack_of(self.name, network), {}
        for layer, answer in zip(stack.layers[:-1], sample_answers(stack, task), strict=False):
            key, like = HEAD + layer.name, layer.linear.weight
            if self.mixture.prediction:
                n_features = pooled(answer).flatten(1).shape[1]
                state[f"{key}.prediction.weight"] = drawn((task.n_outputs, n_features), generator, like)
                state[f"{key}.prediction.bias"] = torch.zeros(
                    task.n_outputs, dtype=like.dtype, device=like.device
                )
            if self.mixture.similarity and self.mixture.kernel:
                shape = same_size_shape(answer, self.mixture.kernel)
                state[f"{key}.similarity.weight"] = drawn(shape, generator, like)
        return state

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give the gradient of each layer's loss."""
        heads = free(state)
        costs = self.layer_losses(stack_of(self.name, network), task, batch, heads)
        total = task.weight(batch.step) * torch.stack(list(costs.values())).sum()
        yield gradient_of(total, dict(network.named_parameters()) | heads)

    def layer_losses(
        self, network: LayeredNetwork, task: Task, batch: Batch, heads: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Give each layer's loss by the layer's name; of a layer's parameters only its own depends on them."""
        wanted = similarity(one_hot(_labels(batch), task.n_outputs, batch.inputs))
        costs, x = {}, batch.inputs
        for layer in network.layers[:-1]:
            x = layer.activation(layer.preactivation(x.detach()))
            costs[layer.name] = self._loss(layer, x, wanted, task, batch, heads)
        last = network.layers[-1]
        outputs = last.activation(last.preactivation(x.detach()))
        return costs | {last.name: task.cost(outputs, batch).mean()}

    def _loss(
        self, layer: Layer, x: Tensor, wanted: Tensor, task: Task, batch: Batch, heads: Mapping[str, Tensor]
    ) -> Tensor:
        mixture, key, loss = self.mixture, HEAD + layer.name, x.new_zeros(())
        averaged = pooled(x) if mixture.prediction or not mixture.kernel else x
        if mixture.prediction:
            outputs = through(averaged, heads[f"{key}.prediction.weight"], heads[f"{key}.prediction.bias"])
            loss = loss + mixture.prediction * task.cost(outputs, batch).mean()
        if mixture.similarity:
            seen = through(x, heads[f"{key}.similarity.weight"]) if mixture.kernel else averaged
            loss = loss + mixture.similarity * F.mse_loss(similarity(seen), wanted)
        return loss


def _labels(batch: Batch) -> Tensor:
    assert batch.targets is not None
    return batch.targets
