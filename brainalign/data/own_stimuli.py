"""Stimuli of one's own: the images and the table that a card points at, all in its folder."""

import re
from pathlib import Path

import pandas as pd

from brainalign.data.array_files import read_table
from brainalign.data.card import Card, CardRegion
from brainalign.data.stimuli import ImageFile, StimulusSet
from brainalign.errors import CardError, ResponsesError
from brainalign.names import unknown_name

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def own_stimuli(card: Card) -> StimulusSet | None:
    """Make the stimulus set of ``[stimuli]``: in the table's order, else sorted by id.

    An image is the file that the table's column ``file`` names, else the one whose name without the
    suffix is the id.
    """
    section = card.stimuli
    if section is None:
        return None
    images, ids = None, []
    table = None
    if section.table is not None:
        table = read_table(path_inside(card, section.table), text=("file",))
    if table is not None and "file" in table:
        folder = section.images or "."
        files = zip(table.index.tolist(), table["file"].tolist(), strict=True)
        images = {stimulus: ImageFile(path_inside(card, f"{folder}/{file}")) for stimulus, file in files}
    elif section.images is not None:
        images = _images_by_name(card, path_inside(card, section.images))
        ids = sorted(images)
    if table is None:
        table = pd.DataFrame(index=pd.Index(ids, name="stimulus", dtype=object))
    degrees = section.degrees if section.degrees is not None else card.degrees
    try:
        return StimulusSet(card.name, table, images, degrees)
    except ResponsesError as error:
        raise CardError(f"Card {card.name!r}, [stimuli]: {error}") from error


def row_ids(card: Card, region: CardRegion, stimuli: StimulusSet | None, path: Path) -> list[str]:
    """Give the stimulus id of each row of a file that names none itself."""
    if region.stimuli is not None:
        return list(read_table(path_inside(card, region.stimuli)).index)
    way_out = 'name them, in the order of the rows, in a table: `stimuli = "order.csv"`'
    if stimuli is None or card.stimuli is None:
        raise CardError(f"{path} does not say which stimuli its rows are; {way_out}.")
    if card.stimuli.table is None and sorted(stimuli.ids, key=_as_people_sort) != stimuli.ids:
        raise CardError(
            f"{path} does not say which stimuli its rows are, and the images' names have no order that all "
            f"agree on (as text, {stimuli.ids[0]!r}, {stimuli.ids[1]!r}, {stimuli.ids[2]!r}, …); {way_out}."
        )
    return stimuli.ids


def path_inside(card: Card, relative: str) -> Path:
    """Give the path of a file or folder that must exist inside the card's folder, links followed."""
    path = card.folder / relative
    home = card.folder.resolve()
    within = path.rglob("*") if path.suffix == ".zarr" else ()
    for each in (path, *within):
        if not each.resolve().is_relative_to(home):
            raise CardError(
                f"Card {card.name!r}: {relative!r} leads out of the card's folder, to {each.resolve()}; copy "
                f"the file into {card.folder}."
            )
    if not path.exists():
        there = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        raise CardError(f"Card {card.name!r}: there is no {path}. {unknown_name('file', path.name, there)}")
    return path


def _images_by_name(card: Card, folder: Path) -> dict[str, ImageFile]:
    if not folder.is_dir():
        raise CardError(f"Card {card.name!r}: {folder} is no folder of images.")
    images: dict[str, ImageFile] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in images:
            raise CardError(
                f"Card {card.name!r}: {images[path.stem].path.name} and {path.name} in {folder} have one id, "
                f"{path.stem!r}; rename one, or name the files in the column 'file' of a table."
            )
        images[path.stem] = ImageFile(path_inside(card, str(path.relative_to(card.folder))))
    if not images:
        raise CardError(f"Card {card.name!r}: {folder} holds no image ({', '.join(IMAGE_SUFFIXES)}).")
    return images


def _as_people_sort(name: str) -> list[str | int]:
    """Sort key that ignores case and takes digits as numbers: ``im2`` before ``im10``."""
    return [int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", name.casefold())]
