"""Images to learn from, with their categories."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torch.nn import functional as F

from brainalign.errors import BrainalignError

PIECE = 1000
"""Images that are resized at once."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images for training and for testing, as bytes in memory.

    Parameters
    ----------
    name
        Name of the set, or the folder it was read from.
    train_images, test_images
        Pixels from 0 to 255, uint8, shape (image, channel, height, width): one channel or three, square.
    train_labels, test_labels
        Number of each image's category, int64, shape (image,).
    categories
        Names of the categories, by their number.

    Raises
    ------
    BrainalignError
        Tensors of another kind or shape, or labels that name no category.

    Examples
    --------
    >>> pixels, labels = torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1])
    >>> ImageSet("mine", pixels, labels, pixels, labels, ("cat", "dog")).size
    8
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    categories: tuple[str, ...]

    def __post_init__(self):
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            problem = _problem(images, labels, len(self.categories))
            if not problem and images.shape[1:] != self.train_images.shape[1:]:
                problem = f"they have shape {tuple(images.shape[1:])}, training images another"
            if problem:
                raise BrainalignError(f"The {part} images of {self.name!r} cannot be used: {problem}.")

    @property
    def size(self) -> int:
        """Height and width in pixels."""
        return self.train_images.shape[-1]

    @property
    def channels(self) -> int:
        """Three for colour, one for grey."""
        return self.train_images.shape[1]

    def resized(self, size: int) -> "ImageSet":
        """Resize whole images, as `resized` does."""
        if size == self.size:
            return self
        train, test = resized(self.train_images, size), resized(self.test_images, size)
        return dataclasses.replace(self, train_images=train, test_images=test)


def stratified_split(labels: Int64[np.ndarray, " image"], n_test: int, seed: int = 0) -> np.ndarray:
    """Draw test images so that each category has its share of them, within one image.

    Parameters
    ----------
    labels
        Category of each image.
    n_test
        Number of test images.
    seed
        Seed of the draw.

    Returns
    -------
    np.ndarray
        Whether each image is a test image, shape (image,).

    Examples
    --------
    >>> int(stratified_split(np.repeat([0, 1], 10), 4)[:10].sum())
    2
    """
    generator = np.random.default_rng(seed)
    categories, counts = np.unique(labels, return_counts=True)
    share = counts * n_test / len(labels)
    take = np.floor(share).astype(int)
    # The largest remainders get the images that rounding down has left over.
    take[np.argsort(take - share, kind="stable")[: n_test - take.sum()]] += 1
    is_test = np.zeros(len(labels), dtype=bool)
    for category, n in zip(categories, take, strict=True):
        is_test[generator.permutation(np.flatnonzero(labels == category))[:n]] = True
    return is_test


def _problem(images: Tensor, labels: Tensor, n_categories: int) -> str:
    """Say what is wrong with images and labels; empty where nothing is."""
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        return (
            f"found {images.dtype} of shape {tuple(images.shape)}; expected uint8 of shape (image, 1 or 3 "
            "channels, height, width)"
        )
    if images.shape[2] != images.shape[3] or images.shape[2] == 0:
        return f"they are {images.shape[2]} × {images.shape[3]} pixels; expected squares"
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        return (
            f"found labels of {labels.dtype} and shape {tuple(labels.shape)} for {len(images)} images; "
            "expected one int64 for each"
        )
    if len(images) == 0:
        return "there are none"
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= n_categories:
        return (
            f"labels run from {low} to {high}; with {n_categories} categories, expected 0 to {n_categories - 1}"
        )
    return ""


def resized(images: Tensor, size: int) -> Tensor:
    """Resize whole images to `size` × `size`, bilinearly and antialiased, unless they have that size."""
    if images.shape[-1] == size:
        return images
    pieces = [
        F.interpolate(piece.float(), (size, size), mode="bilinear", antialias=True).round_().clamp_(0, 255)
        for piece in images.split(PIECE)
    ]
    return torch.cat([piece.to(torch.uint8) for piece in pieces])
