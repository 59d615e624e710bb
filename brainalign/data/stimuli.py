"""Stimulus sets: unique ids, a metadata table, images loaded when they are asked for."""

import contextlib
import functools
import hashlib
import io
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from brainalign.errors import AlignmentError, ResponsesError
from brainalign.files import content_hash


@dataclass(frozen=True)
class ImageFile:
    """Where an image lies: a file, or a member of a zip archive."""

    path: Path
    member: str | None = None

    def read(self) -> bytes:
        """Read the file's bytes."""
        if self.member is None:
            return self.path.read_bytes()
        return _open_archive(self.path, _stamp(self.path), os.getpid()).read(self.member)

    def digest(self) -> bytes:
        """SHA-256 of the file's bytes; a file that has not changed since is not read again."""
        return _digest(self, _stamp(self.path))

    def __str__(self) -> str:
        return f"{self.path}{f' ({self.member})' if self.member else ''}"


def _stamp(path: Path) -> tuple[int, ...]:
    """Give what changes whenever a file is replaced or written to."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


# Opening an archive reads its whole table of contents, so it is kept open: but never across a fork,
# where parent and child would move one file position.
@functools.lru_cache(maxsize=4)
def _open_archive(path: Path, stamp: tuple[int, ...], process: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


@functools.lru_cache(maxsize=100_000)
def _digest(file: ImageFile, stamp: tuple[int, ...]) -> bytes:
    return hashlib.sha256(file.read()).digest()


def _rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB, unless Pillow would show other pixels than were shown."""
    if image.mode.startswith(("I", "F")):
        raise ValueError("it has more than 8 bits a channel; save it with 8")
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise ValueError("parts of it are transparent; save it on the ground that the subjects saw")
    return image.convert("RGB")


@contextlib.contextmanager
def _readable(stimulus: str, source: ImageFile) -> Iterator[None]:
    """Turn whatever a missing or damaged file, archive or image raises into one clear error."""
    try:
        yield
    except (
        OSError,
        KeyError,
        RuntimeError,
        SyntaxError,
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        raise ResponsesError(
            f"The image of stimulus {stimulus!r}, {source}, cannot be read: {error}"
        ) from error


ImageSource = ImageFile | np.ndarray
"""A file, or a ``uint8`` array of shape (height, width) or (height, width, 3)."""


@dataclass(frozen=True, eq=False)
class StimulusSet:
    """What was shown, in a fixed order, each under an id of its own.

    Parameters
    ----------
    name
        Name of the set, for messages.
    metadata
        One row a stimulus; its index, named ``stimulus``, holds the unique ids (strings).
    images
        For each id a file or a ``uint8`` array; None for conditions without an image.
    degrees
        Width of the images in degrees of visual angle, where known.

    Raises
    ------
    ResponsesError
        Ids that repeat or are no strings, or images that do not cover the ids.
    """

    name: str
    metadata: pd.DataFrame
    images: Mapping[str, ImageSource] | None = None
    degrees: float | None = None

    def __post_init__(self):
        ids = self.metadata.index
        if ids.name != "stimulus":
            raise ResponsesError(
                f"The metadata of stimulus set {self.name!r} is indexed by {ids.name!r}; its index must "
                "be named 'stimulus' and hold the ids."
            )
        check_ids(list(ids), f"Stimulus set {self.name!r}")
        if self.images is not None:
            missing = [i for i in ids if i not in self.images]
            if missing:
                raise ResponsesError(
                    f"Stimulus set {self.name!r} has no image for {len(missing)} of {len(ids)} ids, "
                    f"such as {missing[0]!r}. Give every stimulus an image, or none."
                )

    @classmethod
    def from_ids(
        cls,
        ids: Iterable[str],
        images: Sequence[ImageSource] | None = None,
        name: str = "stimuli",
        degrees: float | None = None,
    ) -> "StimulusSet":
        """Make a set from ids and, in the same order, their images.

        Examples
        --------
        >>> len(StimulusSet.from_ids(["face", "house"]))
        2
        """
        ids = list(ids)
        metadata = pd.DataFrame(index=pd.Index(ids, name="stimulus", dtype=object))
        if images is not None and len(images) != len(ids):
            raise ResponsesError(f"{len(images)} images were given for {len(ids)} stimulus ids.")
        sources = None if images is None else dict(zip(ids, images, strict=True))
        return cls(name, metadata, sources, degrees)

    def __len__(self) -> int:
        return len(self.metadata)

    def __repr__(self) -> str:
        return f"<StimulusSet {self.name!r}: {len(self)} stimuli, {'no ' if self.images is None else ''}images>"

    @property
    def ids(self) -> list[str]:
        """The stimulus ids, in order."""
        return list(self.metadata.index)

    def image(self, stimulus: str) -> Image.Image:
        """Load one stimulus as an RGB image.

        Raises
        ------
        ResponsesError
            No image, one that cannot be read, is transparent, or has more than 8 bits a channel.
        """
        if self.images is None:
            raise ResponsesError(
                f"Stimulus set {self.name!r} has no images, so a network cannot see {stimulus!r}."
            )
        source = self.images[stimulus]
        if isinstance(source, np.ndarray):
            return Image.fromarray(source).convert("RGB")
        with _readable(stimulus, source):
            return _rgb(Image.open(io.BytesIO(source.read())))

    def identity(self, stimulus: str) -> tuple[ImageFile, tuple[int, ...]] | None:
        """Give the file of an image and what changes whenever it is written to; None of an array.

        Raises
        ------
        ResponsesError
            The file cannot be found.
        """
        source = self.images[stimulus] if self.images is not None else None
        if not isinstance(source, ImageFile):
            return None
        with _readable(stimulus, source):
            return source, _stamp(source.path)

    def select(self, ids: Sequence[str]) -> "StimulusSet":
        """Take the stimuli named, in the order given."""
        known = set(self.metadata.index)
        missing = [i for i in ids if i not in known]
        if missing:
            raise AlignmentError(
                f"Stimulus set {self.name!r} lacks {len(missing)} of {len(ids)} ids, such as {missing[0]!r}."
            )
        return StimulusSet(self.name, self.metadata.loc[list(ids)], self.images, self.degrees)

    def content_hash(self) -> str:
        """Hash of the ids and of every image's bytes, in order."""
        parts: list[str | bytes | np.ndarray] = []
        for stimulus in self.metadata.index:
            parts.append(stimulus)
            if self.images is not None:
                source = self.images[stimulus]
                if isinstance(source, np.ndarray):
                    parts.append(source)
                else:
                    with _readable(stimulus, source):
                        parts.append(source.digest())
        return content_hash(*parts)


def check_ids(ids: Sequence[object], owner: str) -> None:
    """Raise unless all ids are strings and none repeats."""
    odd = [i for i in ids if not isinstance(i, str)]
    if odd:
        raise ResponsesError(f"{owner} has ids that are not strings, such as {odd[0]!r}; make them strings.")
    repeated = [i for i, count in Counter(ids).items() if count > 1]
    if repeated:
        raise ResponsesError(
            f"{owner} repeats {len(repeated)} stimulus ids, such as {repeated[0]!r}; ids must be unique "
            "(keep repeated presentations along a 'repeat' or 'trial' dimension)."
        )
