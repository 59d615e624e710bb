"""Load a recording by name: find its card, fetch its files, make it."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from brainalign.data.card import Card
from brainalign.data.cards import find_card
from brainalign.data.fetch import fetch_card
from brainalign.data.nwb_path import is_nwb, nwb_recording
from brainalign.data.own import own_recording
from brainalign.data.recording import Recording
from brainalign.errors import CardError, UnknownNameError


def load_recording(name: str | Path) -> Recording:
    """Load a recording; files that it needs are fetched and verified.

    Parameters
    ----------
    name
        ``card``, ``card/part``, the path of a card or of its folder, or that of an NWB file, with options of
        `brainalign.data.nwb.recording_from_nwb`: ``session.nwb:align_to=go_cue_time,after=0.4``.

    Raises
    ------
    UnknownNameError
        No such card or part, or a card of several parts and none named.
    CardError
        The card, or a file that it points at, is not what it must be.
    FetchError
        A file could not be had.
    """
    if is_nwb(name):
        return nwb_recording(name)
    card, part = find_card(name)
    if card.parts and not part:
        raise UnknownNameError(
            f"The card {card.name!r} holds several recordings; name one: {', '.join(recording_names(name))}."
        )
    if card.regions:
        recording = own_recording(card)
    else:
        files = fetch_card(card, part)
        recording = _prepare_function(card)(files, part, card.recording_name(part))
        if not isinstance(recording, Recording):
            raise CardError(f"{card.folder / 'prepare.py'} made {type(recording)}; expected a Recording.")
    return replace(recording, name=card.recording_name(part), provenance=card.provenance)


def recording_names(name: str | Path) -> list[str]:
    """Name the recordings that a name stands for: a card of several parts stands for all of them.

    Each can be given to `load_recording`.
    """
    if is_nwb(name):
        return [str(name)]
    card, part = find_card(name)
    return [f"{name}/{each}" for each in card.parts] if card.parts and not part else [str(name)]


def _prepare_function(card: Card) -> Callable[..., object]:
    """Load ``prepare`` from the card's folder by path, without a place among the imported modules."""
    path = card.folder / "prepare.py"
    specification = importlib.util.spec_from_file_location(f"prepare_{card.name}", path)
    if not path.is_file() or specification is None or specification.loader is None:
        raise CardError(
            f"Card {card.name!r} has neither [regions.NAME] of its own nor a prepare.py in {card.folder}."
        )
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    prepare = getattr(module, "prepare", None)
    if not callable(prepare):
        raise CardError(f"{path} defines no function `prepare(files, part, name)`.")
    return prepare
