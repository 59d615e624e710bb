"""Stimulus sets: unique ids, a metadata table, images loaded when they are asked for."""

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

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
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(self.member)


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

    @property
    def ids(self) -> list[str]:
        """The stimulus ids, in order."""
        return list(self.metadata.index)

    def image(self, stimulus: str) -> Image.Image:
        """Load one stimulus as an RGB image."""
        if self.images is None:
            raise ResponsesError(
                f"Stimulus set {self.name!r} has no images, so a network cannot see {stimulus!r}."
            )
        source = self.images[stimulus]
        if isinstance(source, np.ndarray):
            return Image.fromarray(source).convert("RGB")
        try:
            return Image.open(io.BytesIO(source.read())).convert("RGB")
        except (OSError, KeyError, UnidentifiedImageError) as error:
            raise ResponsesError(
                f"The image of stimulus {stimulus!r}, {source.path}"
                f"{f' ({source.member})' if source.member else ''}, cannot be read: {error}"
            ) from error

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
                parts.append(source if isinstance(source, np.ndarray) else source.read())
        return content_hash(*parts)


def check_ids(ids: Sequence[object], owner: str) -> None:
    """Raise unless all ids are strings and none repeats."""
    odd = [i for i in ids if not isinstance(i, str)]
    if odd:
        raise ResponsesError(f"{owner} has ids that are not strings, such as {odd[0]!r}; make them strings.")
    counts = pd.Series(list(ids), dtype=object).value_counts()
    repeated = counts[counts > 1]
    if len(repeated):
        raise ResponsesError(
            f"{owner} repeats {len(repeated)} stimulus ids, such as {repeated.index[0]!r}; ids must be unique "
            "(keep repeated presentations along a 'repeat' or 'trial' dimension)."
        )
