"""A recording named by its NWB file's path, with options: ``session.nwb:align_to=go_cue_time,after=0.4``."""

import inspect
from pathlib import Path
from typing import Any

from brainalign.data.nwb import recording_from_nwb
from brainalign.data.recording import Recording
from brainalign.names import read_options

ENDING = ".nwb"
FROM_ZERO = frozenset({"nwb:before", "nwb:after", "nwb:sigma"})


def is_nwb(name: str | Path) -> bool:
    """Say whether a name is the path of an NWB file, with options or without.

    Examples
    --------
    >>> is_nwb("data/session.nwb:after=0.4"), is_nwb("cowley2023/190928")
    (True, False)
    """
    return ENDING in str(name) and str(name).partition(ENDING)[2][:1] in ("", ":")


def nwb_recording(name: str | Path) -> Recording:
    """Make a recording of an NWB file by its path and options, those of `recording_from_nwb` but ``select``.

    Raises
    ------
    UnknownNameError
        An option that does not exist, or a value of the wrong kind.
    BrainalignError
        What `recording_from_nwb` refuses.
    """
    path, _, text = str(name).partition(ENDING)
    parameters = inspect.signature(recording_from_nwb).parameters
    defaults = {each: p.default for each, p in parameters.items() if each not in ("source", "select")}
    options: dict[str, Any] = read_options("nwb", text[1:], defaults, FROM_ZERO)
    return recording_from_nwb(path + ENDING, **options)
