"""Read image sets from files: idx files, a tar of pictures, folders of pictures."""

import gzip
import io
import math
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.datasets import ImageFolder
from tqdm import tqdm

from brainalign.errors import BrainalignError
from brainalign.files import content_hash, written_whole
from brainalign.tasks.image_set import stratified_split

Arrays = dict[str, np.ndarray]
"""Images and labels by the names of the fields of `ImageSet`, and ``categories``."""

PARTS = ("train", "test")
TEST_SHARE = 0.2
"""Share of the images of a folder without a test part that is set apart."""

_MEMBER = re.compile(r"(?:\./)?(train|test)/([^/]+)/[^/]+\.(?:jpe?g|png)", re.IGNORECASE)


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read a gzipped idx file of bytes, the form of MNIST (LeCun et al. 1998).

    Parameters
    ----------
    path
        The file, ``.gz``.
    shape
        What it must hold.

    Raises
    ------
    BrainalignError
        A file that is missing, broken off, or holds something else.
    """
    header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    length = len(header) + math.prod(shape)
    try:
        with gzip.open(path) as file:
            # One more byte than there may be: a longer file is told, and a bomb is not unpacked.
            content = file.read(length + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    if len(content) != length or content[: len(header)] != header:
        raise _damaged(path, f"it is no idx file of {' × '.join(map(str, shape))} bytes")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape).copy()


def read_tar(path: Path, counts: dict[str, int], size: int) -> Arrays:
    """Read a tar of ``train/CLASS/NAME.jpg`` and ``test/CLASS/NAME.jpg``, into memory alone.

    Nothing is unpacked to the disk; members of other names are passed over.

    Parameters
    ----------
    path
        The archive, not compressed.
    counts
        How many images ``train`` and ``test`` must hold.
    size
        Height and width that they must have.

    Raises
    ------
    BrainalignError
        An archive that is missing, broken off, or holds other images.
    """
    pictures: dict[str, dict[str, np.ndarray]] = {part: {} for part in PARTS}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in tqdm(archive, desc=path.name, unit="image", delay=2, leave=False):
                match = _MEMBER.fullmatch(member.name)
                file = archive.extractfile(member) if match and member.isreg() else None
                if match and file:
                    pictures[match[1].lower()][member.name.removeprefix("./")] = _decoded(file.read(), size)
    except (OSError, EOFError, ValueError, tarfile.TarError, Image.DecompressionBombError) as error:
        raise _damaged(path, str(error)) from error
    found = {part: len(pictures[part]) for part in PARTS}
    if found != counts:
        raise _damaged(path, f"it holds {found} images and should hold {counts}")
    categories = sorted({name.split("/")[1] for part in PARTS for name in pictures[part]})
    arrays: Arrays = {"categories": np.array(categories)}
    for part in PARTS:
        names = sorted(pictures[part])
        arrays[f"{part}_images"] = np.stack([pictures[part][name] for name in names])
        arrays[f"{part}_labels"] = np.array([categories.index(name.split("/")[1]) for name in names])
    return arrays


def _decoded(content: bytes, size: int) -> np.ndarray:
    with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
        if image.size != (size, size):
            raise ValueError(f"an image of {image.size} pixels where {size} × {size} were expected")
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def open_folder(path: Path) -> dict[str, ImageFolder]:
    """List the images of a folder: its ``train`` and ``test`` where there are such, else ``all``.

    Raises
    ------
    BrainalignError
        No such folder, one of ``train`` and ``test`` alone, no class folders, a class without images, or
        other classes in ``test`` than in ``train``.
    """
    if not path.is_dir():
        raise BrainalignError(f"There is no folder {str(path)!r}; {_EXPECTED}.")
    there = [part for part in PARTS if (path / part).is_dir()]
    if len(there) == 1:
        raise BrainalignError(f"The folder {str(path)!r} has {there[0]}/ alone; {_EXPECTED}.")
    try:
        folders = {part: ImageFolder(path / part) for part in there} or {"all": ImageFolder(path)}
    except FileNotFoundError as error:
        # torchvision says which class is empty, or that there is none.
        raise BrainalignError(
            f"No image set can be read from {str(path)!r}: {error} Here, {_EXPECTED}."
        ) from None
    if there and folders["train"].classes != folders["test"].classes:
        odd = sorted(set(folders["train"].classes) ^ set(folders["test"].classes))
        raise BrainalignError(
            f"Only one of train/ and test/ of {str(path)!r} has the classes {', '.join(odd)}."
        )
    return folders


_EXPECTED = "expected train/CLASS/*.jpg and test/CLASS/*.jpg, or CLASS/*.jpg"


def folder_hash(folders: dict[str, ImageFolder]) -> str:
    """Hash the names, sizes and times of all images of a folder."""
    lines = []
    for part, folder in folders.items():
        for name, _ in folder.samples:
            stat = Path(name).stat()
            lines.append(f"{part} {Path(name).relative_to(folder.root)} {stat.st_size} {stat.st_mtime_ns}")
    return content_hash("\n".join(lines))


def read_folder(folders: dict[str, ImageFolder], size: int) -> Arrays:
    """Read the images that `open_folder` listed, each resized whole to `size` × `size`, in colour.

    Without ``train`` and ``test``, a fixed fifth of each class becomes test images.

    Raises
    ------
    BrainalignError
        An image that cannot be read, or a class of one image where images must be set apart.
    """
    arrays: Arrays = {"categories": np.array(next(iter(folders.values())).classes)}
    for part, folder in folders.items():
        arrays[f"{part}_images"] = _pictures(folder, size)
        arrays[f"{part}_labels"] = np.array(folder.targets, dtype=np.int64)
    return arrays if "all" not in folders else _split(arrays, folders["all"])


def _pictures(folder: ImageFolder, size: int) -> np.ndarray:
    pixels = np.empty((len(folder.samples), 3, size, size), np.uint8)
    progress = tqdm(folder.samples, desc="images", unit="image", delay=2, leave=False)
    for row, (name, _) in zip(pixels, progress, strict=True):
        try:
            image = folder.loader(name).resize((size, size), Image.Resampling.BILINEAR)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise _damaged(Path(name), str(error)) from error
        row[:] = np.asarray(image).transpose(2, 0, 1)
    return pixels


def _split(arrays: Arrays, folder: ImageFolder) -> Arrays:
    labels = arrays["all_labels"]
    counts = np.bincount(labels)
    if counts.min() < 2:
        raise BrainalignError(
            f"Class {folder.classes[counts.argmin()]!r} of {str(folder.root)!r} has one image, so none can be "
            "set apart for testing; add images, or make train/ and test/ yourself."
        )
    is_test = stratified_split(labels, max(1, round(TEST_SHARE * len(labels))))
    split: Arrays = {"categories": arrays["categories"]}
    for part, chosen in (("train", ~is_test), ("test", is_test)):
        split |= {f"{part}_{kind}": arrays[f"all_{kind}"][chosen] for kind in ("images", "labels")}
    return split


def cached(path: Path, make: Callable[[], Arrays]) -> Arrays:
    """Read arrays from a cached file, else make them and cache them.

    Raises
    ------
    BrainalignError
        A cached file that is damaged.
    """
    if not path.exists():
        arrays = make()
        with written_whole(path) as temporary:
            np.savez(temporary, **arrays)  # pyright: ignore[reportArgumentType]
        return arrays
    try:
        # One file for a set, so that its parts belong together; its checksums tell damage.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise BrainalignError(f"The cached images {path} are damaged ({error}); delete that file.") from error


def _damaged(path: Path, problem: str) -> BrainalignError:
    return BrainalignError(f"{path} cannot be read: {problem}. Get the file anew, or delete it.")
