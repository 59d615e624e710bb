"""What the tasks on images share: which images, in which order, standardised how."""

import dataclasses
from abc import abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from brainalign.errors import BrainalignError
from brainalign.names import unknown_name
from brainalign.networks import Preprocessing
from brainalign.tasks.image_set import ImageSet, resized
from brainalign.tasks.task import Batch, Task

Pixels = UInt8[Tensor, "image channel height width"]
Labels = Int64[Tensor, " image"]

SCALES = ("standard", "unit")
EVALUATION_BATCH = 500


@dataclass(frozen=True)
class ImageTask(Task):
    """A task on an image set. A subclass says what is shown and what is to be answered.

    Fields that are numbers or names, with a default, are the options that may follow the task's name.

    Parameters
    ----------
    images
        The images, with their categories.
    batch_size
        Images of a training batch; what is left over at the end of an epoch is dropped.
    scale
        ``standard`` subtracts the mean of the images trained on and divides by their standard deviation, for
        each colour channel; ``unit`` leaves pixels between 0 and 1.
    size
        Height and width to which whole images are resized; 0 for their own.
    train_images
        Trains on that many images, the first of a fixed permutation; 0 for all.
    validation
        Takes that many images, the last of the permutation, out of training: `held_out` then gives them in
        place of the test images, so that nothing is chosen by the test images.

    Raises
    ------
    BrainalignError
        Fewer images than the options need.
    UnknownNameError
        An unknown scale.
    """

    key: ClassVar[str]
    """The task's name in the catalogue."""
    variant: ClassVar[str] = ""
    """Which of the tasks of that name this is; empty where there is one."""
    source: ClassVar[str]
    from_zero: ClassVar[frozenset[str]] = frozenset({"size", "train_images", "validation"})
    """Options that may be 0."""

    images: ImageSet
    batch_size: int = 128
    scale: str = "standard"
    size: int = 0
    train_images: int = 0
    validation: int = 0

    def __post_init__(self):
        check_choice("scale", self.scale, SCALES)
        for option, field in options_of(type(self)).items():
            value = getattr(self, field.name)
            if isinstance(value, int | float) and (value < 0 or (value == 0 and option not in self.from_zero)):
                raise BrainalignError(f"Option {option} of {self.key} is {value}; expected more.")
        if self.size:
            object.__setattr__(self, "images", self.images.resized(self.size))
        there = len(self.images.train_images)
        if self.train_images + self.validation > there:
            raise BrainalignError(
                f"{self.images.name!r} has {there} training images, fewer than train_images="
                f"{self.train_images} and validation={self.validation} need together."
            )
        if self.n_batches == 0:
            raise BrainalignError(
                f"A batch of {self.batch_size} images is more than the {len(self._trained_on)} that "
                f"{self.key}:{self.images.name} trains on; make batch_size smaller."
            )

    @property
    def name(self) -> str:
        """Name with the options that are not the default, in the order of the fields."""
        changed = [f"variant={self.variant}"] if self.variant not in ("", "plain") else []
        for option, field in options_of(type(self)).items():
            value = getattr(self, field.name)
            if value != field.default:
                changed.append(f"{option}={_written(value)}")
        return ",".join([f"{self.key}:{self.images.name}", *changed])

    @property
    def categories(self) -> tuple[str, ...]:
        """Categories of the images."""
        return self.images.categories

    @property
    def preprocessing(self) -> Preprocessing:
        """Size of the images, and their mean and standard deviation in each channel."""
        return self._preprocessing

    @property
    def n_batches(self) -> int:
        """Whole batches in an epoch."""
        return len(self._trained_on) // self.batch_size

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Give the batches of one epoch, in an order and with whatever noise the generator draws.

        One number is drawn at once, and seeds all else.
        """
        seed = int(torch.randint(2**62, (), generator=generator))
        return self._epoch(torch.Generator().manual_seed(seed))

    def held_out(self, limit: int | None = None) -> Iterator[Batch]:
        """Give the test images, or those set apart by `validation`, in a fixed order that mixes categories.

        With a limit, as many of each category as can be: every n-th image, category by category.
        """
        return self._made(held_out=True, limit=limit)

    def seen(self, limit: int | None = None) -> Iterator[Batch]:
        """Give images that are trained on, as `held_out` does."""
        return self._made(held_out=False, limit=limit)

    def labelled(self, held_out: bool, limit: int | None = None) -> Iterator[Batch]:
        """Give whole images at the size and in the channels that the network is shown, with their labels."""
        wanted = self.preprocessing
        for pixels, labels in self._fixed(held_out, limit):
            shown = resized(pixels, wanted.size).expand(-1, wanted.channels, -1, -1)
            yield Batch(wanted.standardised(shown), labels, labels)

    @abstractmethod
    def make_batch(self, pixels: Pixels, labels: Labels, generator: torch.Generator, training: bool) -> Batch:
        """Turn images into what is shown and what is to be answered.

        Parameters
        ----------
        pixels
            Images, as bytes.
        labels
            Their categories.
        generator
            For all that is drawn.
        training
            Whether noise that training adds is wanted.
        """

    def statistics(self, pixels: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Give the mean and the standard deviation of pixels from 0 to 1 in each channel."""
        return channel_statistics(pixels)

    @property
    def evaluation_batch(self) -> int:
        """Images in a batch of `held_out` and `seen`."""
        return EVALUATION_BATCH

    def _epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        order = self._trained_on[torch.randperm(len(self._trained_on), generator=generator)]
        for chosen in order.split(self.batch_size)[: self.n_batches]:
            pixels, labels = self.images.train_images[chosen], self.images.train_labels[chosen]
            yield self.make_batch(pixels, labels, generator, training=True)

    def _made(self, held_out: bool, limit: int | None) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(0)
        for pixels, labels in self._fixed(held_out, limit):
            yield self.make_batch(pixels, labels, generator, training=False)

    def _fixed(self, held_out: bool, limit: int | None) -> Iterator[tuple[Pixels, Labels]]:
        """Give images, always the same, in batches."""
        part = "test" if held_out and not self.validation else "train"
        pixels, labels = getattr(self.images, f"{part}_images"), getattr(self.images, f"{part}_labels")
        among = torch.arange(len(pixels))
        if part == "train":
            among = self._permutation[-self.validation :] if held_out else self._trained_on
        if limit is not None and limit < 1:
            raise BrainalignError(f"At most {limit} images were asked for; ask for 1 or more, or None for all.")
        n = min(limit or len(among), len(among))
        by_category = among[labels[among].argsort(stable=True)]
        chosen = by_category[(2 * torch.arange(n) + 1) * len(among) // (2 * n)]
        # Mixed, because costs that compare the images of a batch need several categories in each.
        order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
        for batch in chosen[order].split(self.evaluation_batch):
            yield pixels[batch], labels[batch]

    @cached_property
    def _permutation(self) -> Tensor:
        return torch.randperm(len(self.images.train_images), generator=torch.Generator().manual_seed(0))

    @cached_property
    def _trained_on(self) -> Tensor:
        n = self.train_images or len(self._permutation) - self.validation
        return self._permutation[:n]

    @cached_property
    def _preprocessing(self) -> Preprocessing:
        mean, std = (0.0,) * self.images.channels, (1.0,) * self.images.channels
        if self.scale == "standard":
            mean, std = self.statistics(self.images.train_images[self._trained_on])
        return Preprocessing(self.images.size, mean, std)


def options_of(kind: type[Task]) -> dict[str, dataclasses.Field]:
    """Give the options of a kind of task, in their order, by their name after the task's."""
    return {
        field.metadata.get("option", field.name): field
        for field in dataclasses.fields(kind)
        if isinstance(field.default, str | int | float)
    }


def check_choice(option: str, value: str, choices: Collection[str]) -> None:
    """Raise unless an option has one of its values."""
    if value not in choices:
        raise unknown_name(option, value, choices)


def channel_statistics(pixels: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Give the mean and the standard deviation of pixels, divided by 255, in each channel.

    By counts of the 256 values, in float64: exact, and without a copy as floats.

    Examples
    --------
    >>> channel_statistics(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1))
    ((0.5,), (0.5,))
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    mean, std = [], []
    for channel in pixels.unbind(1):
        counts = channel.flatten().bincount(minlength=256)
        share = counts.to(torch.float64) / channel.numel()
        mean.append(float(share @ values))
        std.append(float((share @ (values - mean[-1]) ** 2).sqrt()))
    return tuple(mean), tuple(std)


def _written(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
