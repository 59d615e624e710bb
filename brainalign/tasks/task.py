"""What a network learns: data, and a cost."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from brainalign.networks import Preprocessing, Shape
from brainalign.tasks.schedule import Schedule


@dataclass(frozen=True)
class Batch:
    """Samples that are learned from at once.

    Parameters
    ----------
    inputs
        What the network is shown, shape (sample, …).
    targets
        What it should answer: class numbers, images, or nothing.
    labels
        Category of each sample where the images have some: for reports, never for the cost of a task
        that is not about categories.
    step
        Number of the training step, from 0; costs may depend on it.
    """

    inputs: Float[Tensor, "sample ..."]
    targets: Tensor | None = None
    labels: Int[Tensor, " sample"] | None = None
    step: int = 0

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device | str) -> "Batch":
        """Give the batch with all its tensors on a device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {name: each.to(device) for name, each in moved.items() if isinstance(each, Tensor)}
        return replace(self, **moved)


LayerCostFunction = Callable[[Tensor, Batch], Tensor]


@dataclass(frozen=True)
class LayerCost:
    """A cost that one layer pays for its own answer.

    Parameters
    ----------
    name
        Its name, such as ``sparsity``.
    cost
        (the layer's answer, batch) → cost of each sample.
    weight
        Its weight over the steps.
    """

    name: str
    cost: LayerCostFunction
    weight: Schedule


@dataclass(frozen=True)
class Task(ABC):
    """Data and a cost. A task of one's own is a subclass and a row of the catalogue.

    Parameters
    ----------
    weight
        Weight of the cost of the outputs over the steps.
    at_layers
        Costs that layers pay for their own answers, by the name of the layer's module.
    """

    weight: Schedule = field(default_factory=Schedule, kw_only=True)
    at_layers: Mapping[str, LayerCost] = field(default_factory=dict, kw_only=True)

    @property
    @abstractmethod
    def name(self) -> str:
        """Name with options, as the table has it: ``classification:cifar10``."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Units that the network's read-out needs."""

    @property
    @abstractmethod
    def preprocessing(self) -> Preprocessing:
        """Size and standardisation of the images that the network is shown, in training and after."""

    @property
    def n_inputs(self) -> int:
        """Inputs at each time step, for tasks of recurrent networks; 0 for tasks on images."""
        return 0

    def shape(self, activation: str) -> Shape:
        """Give what the task asks of a network, with the activation that a rule prefers."""
        return Shape(self.preprocessing, self.n_outputs, activation, self.n_inputs)

    @property
    def module(self) -> nn.Module | None:
        """What the task itself has to learn, such as a decoder: trained by the true gradient of its cost."""
        return None

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the labels, by their number; empty without labels."""
        return ()

    @property
    def names_categories(self) -> bool:
        """Whether the outputs are to name the categories, so that no read-out need be fitted apart."""
        return False

    @property
    @abstractmethod
    def n_batches(self) -> int:
        """Batches in an epoch."""

    @abstractmethod
    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Give the batches of one epoch, in an order and with whatever noise the generator draws."""

    @abstractmethod
    def held_out(self, limit: int | None = None) -> Iterator[Batch]:
        """Give batches of images that are never trained on, always the same; `limit` images of them at most."""

    @abstractmethod
    def seen(self, limit: int | None = None) -> Iterator[Batch]:
        """Give batches of training images, always the same and without noise that training adds."""

    @property
    def plain(self) -> bool:
        """Whether a rollout is the network's answer to the inputs, and nothing else."""
        return type(self).rollout is Task.rollout

    @property
    def differentiates_network(self) -> bool:
        """Whether the cost itself holds derivatives of the network, which must then be the true ones."""
        return False

    def rollout(self, network: nn.Module, batch: Batch) -> Tensor:
        """Let the network answer; in closed loop for tasks that answer back."""
        return network(batch.inputs)

    @abstractmethod
    def cost(self, outputs: Tensor, batch: Batch) -> Float[Tensor, " sample"]:
        """Give each sample's cost, without its weight over the steps."""

    def correct(self, outputs: Tensor, batch: Batch) -> Float[Tensor, " sample"] | None:
        """Say of each sample whether the answer is right (1 or 0); None where nothing can be right."""
        return None

    def further(self, outputs: Tensor, batch: Batch) -> dict[str, Float[Tensor, " sample"]]:
        """Give what else is measured of each sample, by name, such as an error in the task's own units."""
        return {}

    def labelled(self, held_out: bool, limit: int | None = None) -> Iterator[Batch]:
        """Give images as they are, with their labels, for a read-out of categories fitted apart.

        `held_out` says whether of images that are never trained on.
        """
        return self.held_out(limit) if held_out else self.seen(limit)

    def layer_costs(self, step: int) -> dict[str, tuple[LayerCost, float]]:
        """Give the costs at layers that have a weight other than 0 at this step, with the weight."""
        weighted = {layer: (cost, cost.weight(step)) for layer, cost in self.at_layers.items()}
        return {layer: (cost, weight) for layer, (cost, weight) in weighted.items() if weight != 0}
