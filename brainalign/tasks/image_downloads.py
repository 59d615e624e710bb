"""Download image sets by torchvision, where the machine has no copy of its own."""

from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar

import filelock
import numpy as np
from torchvision import datasets

from brainalign.errors import FetchError
from brainalign.files import cache_folder
from brainalign.tasks.image_files import Arrays

Dataset = TypeVar("Dataset")


def download_idx(kind: type[datasets.MNIST], folder_name: str) -> Path:
    """Download MNIST or a set of its form, and give the folder with the gzipped files."""
    root = cache_folder() / "images" / folder_name
    _downloaded(lambda: kind(root, download=True), folder_name, root)
    return root / kind.__name__ / "raw"


def download_cifar10() -> Arrays:
    """Download CIFAR-10 (Krizhevsky 2009) and give its images."""
    root = cache_folder() / "images" / "cifar10"
    arrays: Arrays = {}
    for part in ("train", "test"):
        # Its batches are pickles. torchvision checks the archive's MD5 before it unpacks it, and each
        # batch's before it is unpickled, so nothing but the authors' own file is ever run.
        made = _downloaded(
            lambda part=part: datasets.CIFAR10(root, part == "train", download=True), "cifar10", root
        )
        arrays[f"{part}_images"] = np.ascontiguousarray(np.asarray(made.data).transpose(0, 3, 1, 2))
        arrays[f"{part}_labels"] = np.array(made.targets, dtype=np.int64)
        arrays["categories"] = np.array(made.classes)
    return arrays


def _downloaded(make: Callable[[], Dataset], name: str, root: Path) -> Dataset:
    try:
        root.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(root / ".lock"):
            return make()
    except (RuntimeError, OSError, HTTPException) as error:
        problem = " ".join(str(error).split()).rstrip(".")
        raise FetchError(
            f"The images {name!r} could not be downloaded to {root}: {problem}. If this machine has no network "
            "access, set BRAINALIGN_IMAGES to a folder that holds them (mnist/MNIST/raw/*.gz, "
            "fashion-mnist/FashionMNIST/raw/*.gz, cifar10.tar), or use 'digits', which needs no download."
        ) from error
