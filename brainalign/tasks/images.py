"""The image sets by name, and folders of one's own."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torchvision import datasets

from brainalign.errors import BrainalignError
from brainalign.files import cache_folder, images_folder, sha256_of
from brainalign.names import snake_case, unknown_name
from brainalign.tasks.image_downloads import download_cifar10, download_idx
from brainalign.tasks.image_files import (
    Arrays,
    cached,
    folder_hash,
    open_folder,
    read_folder,
    read_idx,
    read_tar,
)
from brainalign.tasks.image_set import ImageSet, stratified_split

__all__ = ["IMAGE_SETS", "ImageSet", "is_folder_name", "load_images"]

FOLDER_SIZE = 64
"""Pixels that images of a folder are resized to, unless another size is asked for."""
DIGITS_TEST = 360
CIFAR10_COUNTS = {"train": 50_000, "test": 10_000}
CIFAR10_SIZE = 32
MNIST_COUNTS = {"train": 60_000, "test": 10_000}
MNIST_SIZE = 28
CLOTHES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
"""The categories of Fashion-MNIST (Xiao et al. 2017, table 2)."""


def load_images(name: str, size: int | None = None) -> ImageSet:
    """Load an image set by its name, or from a folder.

    A set is read from the folder that ``BRAINALIGN_IMAGES`` names, where that holds it, else downloaded to
    the cache. What takes long to decode is kept in the cache.

    Parameters
    ----------
    name
        ``digits`` (in scikit-learn; a fixed split of 1437 and 360 images), ``mnist``, ``fashion_mnist``,
        ``cifar10``, or a folder with ``train/CLASS/*.jpg`` and ``test/CLASS/*.jpg``, or with ``CLASS/*.jpg``
        alone: then a fixed fifth of each class is for testing.
    size
        Height and width to which whole images are resized; None for the set's own, and 64 for a folder.

    Raises
    ------
    UnknownNameError
        No such set.
    BrainalignError
        A file or a folder that is not what it must be.
    FetchError
        A set that could not be downloaded.

    Examples
    --------
    >>> digits = load_images("digits")
    >>> tuple(digits.train_images.shape), len(digits.test_images)
    ((1437, 1, 8, 8), 360)
    """
    if size is not None and size < 1:
        raise BrainalignError(f"Images cannot be resized to {size} pixels; give a size of 1 or above.")
    key = snake_case(name)
    if key in IMAGE_SETS:
        images = _made(key, IMAGE_SETS[key]())
        return images if size is None else images.resized(size)
    if not is_folder_name(name):
        raise unknown_name("image set", name, [*IMAGE_SETS, "path/to/folder"])
    return _folder(name, size or FOLDER_SIZE)


def is_folder_name(name: str) -> bool:
    """Whether a name is meant as a folder: there is one, or it is written as a path."""
    return "/" in name or os.sep in name or name.startswith(("~", ".")) or Path(name).is_dir()


def _made(name: str, arrays: Arrays) -> ImageSet:
    fields = {field: torch.from_numpy(array) for field, array in arrays.items() if field != "categories"}
    return ImageSet(name, categories=tuple(map(str, arrays["categories"])), **fields)


def _digits() -> Arrays:
    flat, labels = load_digits(return_X_y=True)
    # Their pixels run from 0 to 16.
    pixels = np.rint(np.asarray(flat) * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = np.asarray(labels, dtype=np.int64)
    is_test = stratified_split(labels, DIGITS_TEST)
    return {
        "train_images": pixels[~is_test],
        "train_labels": labels[~is_test],
        "test_images": pixels[is_test],
        "test_labels": labels[is_test],
        "categories": np.array([str(digit) for digit in range(10)]),
    }


def _idx(kind: type[datasets.MNIST], folder_name: str, categories: tuple[str, ...]) -> Arrays:
    local = images_folder()
    if local is not None and (local / folder_name).is_dir():
        folder = local / folder_name / kind.__name__ / "raw"
    else:
        folder = download_idx(kind, folder_name)
    arrays: Arrays = {"categories": np.array(categories)}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        n = MNIST_COUNTS[part]
        pixels = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz", (n, MNIST_SIZE, MNIST_SIZE))
        labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", (n,))
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = pixels[:, None], labels.astype(np.int64)
    return arrays


def _mnist() -> Arrays:
    return _idx(datasets.MNIST, "mnist", tuple(map(str, range(10))))


def _fashion_mnist() -> Arrays:
    return _idx(datasets.FashionMNIST, "fashion-mnist", CLOTHES)


def _cifar10() -> Arrays:
    local = images_folder()
    if local is None or not (local / "cifar10.tar").exists():
        return download_cifar10()
    archive = local / "cifar10.tar"
    path = cache_folder() / "images" / f"cifar10-{sha256_of(archive)[:16]}.npz"
    return cached(path, lambda: read_tar(archive, CIFAR10_COUNTS, CIFAR10_SIZE))


def _folder(name: str, size: int) -> ImageSet:
    folders = open_folder(Path(name).expanduser())
    path = cache_folder() / "images" / f"folder-{size}-{folder_hash(folders)[:16]}.npz"
    return _made(name, cached(path, lambda: read_folder(folders, size)))


IMAGE_SETS: dict[str, Callable[[], Arrays]] = {
    "digits": _digits,
    "mnist": _mnist,
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar10,
}
"""The image sets that have a name."""
