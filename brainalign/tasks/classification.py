"""Say which category an image is of."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from brainalign.tasks.image_task import ImageTask, Labels, Pixels, check_choice
from brainalign.tasks.task import Batch

Outputs = Float[Tensor, "sample category"]
PerSample = Float[Tensor, " sample"]
Targets = Int64[Tensor, " sample"]


def cross_entropy(outputs: Outputs, targets: Targets) -> PerSample:
    r"""Give :math:`-\log \mathrm{softmax}(y)_t`.

    Examples
    --------
    >>> cross_entropy(torch.zeros(1, 4), torch.tensor([2])).exp()
    tensor([4.])
    """
    return F.cross_entropy(outputs, targets, reduction="none")


def sigmoid_cross_entropy(outputs: Outputs, targets: Targets) -> PerSample:
    r"""Give :math:`-\sum_c t_c \log \sigma(y_c) + (1 - t_c) \log(1 - \sigma(y_c))` (Akrout et al. 2019).

    Examples
    --------
    >>> (sigmoid_cross_entropy(torch.zeros(1, 3), torch.tensor([2])) / 3).exp()
    tensor([2.])
    """
    return F.binary_cross_entropy_with_logits(outputs, _one_hot(outputs, targets), reduction="none").sum(1)


def squared_error(outputs: Outputs, targets: Targets) -> PerSample:
    r"""Give :math:`\frac{1}{2} \sum_c (y_c - t_c)^2`, with :math:`t` one for the category and zero elsewhere.

    Examples
    --------
    >>> squared_error(torch.tensor([[3.0, 1.0]]), torch.tensor([1]))
    tensor([4.5000])
    """
    return 0.5 * (outputs - _one_hot(outputs, targets)).square().sum(1)


def _one_hot(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.one_hot(targets, outputs.shape[1]).to(outputs.dtype)


COSTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "sigmoid_cross_entropy": sigmoid_cross_entropy,
    "squared_error": squared_error,
}


@dataclass(frozen=True)
class Classification(ImageTask):
    """Say which category an image is of, by one output for each.

    Parameters
    ----------
    cost_name
        ``cross_entropy``, ``sigmoid_cross_entropy`` or ``squared_error``; the option ``cost``.

    Examples
    --------
    >>> from brainalign.tasks.images import load_images
    >>> task = Classification(load_images("digits"), cost_name="squared_error")
    >>> task.name, task.n_outputs, task.n_batches
    ('classification:digits,cost=squared_error', 10, 11)
    """

    key: ClassVar[str] = "classification"
    source: ClassVar[str] = "supervised; sigmoid cross-entropy as in Akrout et al. 2019"

    cost_name: str = field(default="cross_entropy", metadata={"option": "cost"})

    def __post_init__(self):
        check_choice("cost of classification", self.cost_name, COSTS)
        super().__post_init__()

    @property
    def n_outputs(self) -> int:
        """One for each category."""
        return len(self.categories)

    @property
    def names_categories(self) -> bool:
        """They are."""
        return True

    def make_batch(self, pixels: Pixels, labels: Labels, generator: torch.Generator, training: bool) -> Batch:
        """Show the images; the categories are to be answered."""
        return Batch(self.preprocessing.standardised(pixels), labels, labels)

    def cost(self, outputs: Outputs, batch: Batch) -> PerSample:
        """Give each image's cost."""
        assert batch.targets is not None
        return COSTS[self.cost_name](outputs, batch.targets)

    def correct(self, outputs: Outputs, batch: Batch) -> PerSample:
        """Say of each image whether the largest output is its category's."""
        return (outputs.argmax(1) == batch.targets).to(outputs.dtype)
