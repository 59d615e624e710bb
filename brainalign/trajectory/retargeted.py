"""A task with the same inputs and other targets: a cost to impose, or a control without information."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.networks import Preprocessing
from brainalign.tasks.task import Batch, Task

Change = Callable[[Tensor, torch.Generator], Tensor]


def permuted_over_samples(targets: Tensor, generator: torch.Generator) -> Tensor:
    """Give each sample the target of another: as many of each, and none that its input would tell.

    Examples
    --------
    >>> permuted_over_samples(torch.arange(4), torch.Generator().manual_seed(0)).sort().values
    tensor([0, 1, 2, 3])
    """
    return targets[torch.randperm(len(targets), generator=generator)]


@dataclass(frozen=True)
class Retargeted(Task):
    """A task whose targets are changed, batch by batch; inputs, cost and labels stay.

    Parameters
    ----------
    task
        The task.
    change
        (targets, generator) → targets of the same shape and kind. In training its draws are new in every
        batch; of images held out or seen again they are always the same.
    change_name
        What the name says of it.

    Examples
    --------
    >>> from brainalign.tasks import find_task
    >>> task = permuted_targets(find_task("classification:digits"))
    >>> task.name, task.n_outputs
    ('classification:digits with targets permuted over samples', 10)
    """

    task: Task
    change: Change
    change_name: str

    @property
    def name(self) -> str:
        """The task's, and the change."""
        return f"{self.task.name} with targets {self.change_name}"

    @property
    def n_outputs(self) -> int:
        """As the task."""
        return self.task.n_outputs

    @property
    def preprocessing(self) -> Preprocessing:
        """As the task."""
        return self.task.preprocessing

    @property
    def module(self) -> nn.Module | None:
        """As the task."""
        return self.task.module

    @property
    def categories(self) -> tuple[str, ...]:
        """As the task."""
        return self.task.categories

    @property
    def names_categories(self) -> bool:
        """As the task."""
        return self.task.names_categories

    @property
    def n_batches(self) -> int:
        """As the task."""
        return self.task.n_batches

    @property
    def plain(self) -> bool:
        """As the task."""
        return self.task.plain

    @property
    def differentiates_network(self) -> bool:
        """As the task."""
        return self.task.differentiates_network

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Give the task's batches in the task's order, with targets changed anew."""
        same = torch.Generator()
        same.set_state(generator.get_state())
        return self._changed(self.task.batches(generator), int(torch.randint(2**62, (), generator=same)))

    def held_out(self, limit: int | None = None) -> Iterator[Batch]:
        """Give the task's, with targets changed."""
        return self._changed(self.task.held_out(limit), 0)

    def seen(self, limit: int | None = None) -> Iterator[Batch]:
        """Give the task's, with targets changed."""
        return self._changed(self.task.seen(limit), 0)

    def labelled(self, held_out: bool, limit: int | None = None) -> Iterator[Batch]:
        """Give the task's, whose labels are not changed."""
        return self.task.labelled(held_out, limit)

    def rollout(self, network: nn.Module, batch: Batch) -> Tensor:
        """Let the network answer as in the task."""
        return self.task.rollout(network, batch)

    def cost(self, outputs: Tensor, batch: Batch) -> Float[Tensor, " sample"]:
        """Give each sample's cost by its changed target."""
        return self.task.cost(outputs, batch)

    def correct(self, outputs: Tensor, batch: Batch) -> Float[Tensor, " sample"] | None:
        """Say of each sample whether the answer is its changed target."""
        return self.task.correct(outputs, batch)

    def _changed(self, batches: Iterator[Batch], seed: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(seed)
        for batch in batches:
            if batch.targets is None:
                raise NeedsError(
                    f"Task {self.task.name!r} gives no targets that could be changed: its cost compares "
                    "answers with each other. Choose a task with targets, such as classification."
                )
            yield replace(batch, targets=self.change(batch.targets, generator))


def retargeted(task: Task, change: Change, change_name: str) -> Retargeted:
    """Change a task's targets, and keep its weight and its costs at layers."""
    return Retargeted(task, change, change_name, weight=task.weight, at_layers=task.at_layers)


def permuted_targets(task: Task) -> Retargeted:
    """Give the control of a task: its inputs and its targets, which no longer belong together."""
    return retargeted(task, permuted_over_samples, "permuted over samples")


def next_category(task: Task) -> Retargeted:
    """Give a task that calls each category by the name of the next, the last by that of the first.

    Raises
    ------
    NeedsError
        A task that does not name categories.
    """
    if not task.names_categories:
        raise NeedsError(
            f"Task {task.name!r} does not name categories, so they cannot be renamed; give the cost that is to "
            "be imposed as a task of its own."
        )
    n = task.n_outputs
    return retargeted(task, lambda targets, _: (targets + 1) % n, "renamed to the next category")
