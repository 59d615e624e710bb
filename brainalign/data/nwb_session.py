"""One session of an NWB file: units, trials and time series, as plain arrays and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainalign.data.recording import Provenance
from brainalign.errors import NeedsError, ResponsesError
from brainalign.names import unknown_name

RAGGED = ("spike_times", "obs_intervals", "electrodes", "electrode_group", "waveforms", "waveform_mean")
"""Columns of the table of units that are no single value a unit."""


@dataclass(frozen=True, eq=False)
class TimeSeries:
    """Samples in time.

    Parameters
    ----------
    times
        Seconds from the session's reference, rising.
    values
        Shape (sample, column).
    unit
        What a value of 1 is.
    """

    times: np.ndarray
    values: np.ndarray
    unit: str


@dataclass(frozen=True, eq=False)
class NwbSession:
    """What one file says of units, trials and movement.

    Parameters
    ----------
    name
        Name of the session, for messages and stimulus sets.
    spike_times
        For each unit seconds from the session's reference, rising.
    units
        A row a unit: ``region`` (empty where the file names none) and the file's own columns of single values.
    trials
        A row a trial, with ``start_time`` and ``stop_time``.
    observed
        For each unit the intervals, shape (interval, 2), in which it was recorded; None for all the time.
    series
        The time series that were asked for, by name.
    subject
        The animal.
    provenance
        Species and citation, where the file has them.
    """

    name: str
    spike_times: Sequence[np.ndarray]
    units: pd.DataFrame
    trials: pd.DataFrame
    observed: Sequence[np.ndarray | None]
    series: Mapping[str, TimeSeries] = field(default_factory=dict)
    subject: str = ""
    provenance: Provenance = field(default_factory=Provenance)


def read_session(path: str | Path, series: Sequence[str] = ()) -> NwbSession:
    """Read a session of an NWB file.

    Parameters
    ----------
    path
        The file.
    series
        Names of time series to read as well, wherever they lie in the file: ``("hand_vel",)``. Their values
        are given in the unit that the file names.

    Raises
    ------
    NeedsError
        The package ``pynwb`` is not installed.
    ResponsesError
        No such file, one that is no NWB, or one without spike times or without trials.
    UnknownNameError
        A time series that the file does not hold.
    """
    try:
        import pynwb
    except ImportError as error:
        raise NeedsError(
            f"To read {path} the package pynwb is needed; install it: pip install 'brainalign[nwb]'."
        ) from error
    path = Path(path)
    if not path.is_file():
        raise ResponsesError(f"There is no file {path}.")
    try:
        opened = pynwb.NWBHDF5IO(str(path), mode="r")  # pyright: ignore[reportCallIssue]
    except OSError as error:
        raise ResponsesError(f"{path} cannot be opened as an NWB file: {error}.") from error
    with opened:
        try:
            content = opened.read()
        except (OSError, TypeError, ValueError) as error:
            raise ResponsesError(f"{path} cannot be read as an NWB file: {error}.") from error
        return _session(content, path, series)


def _session(content: Any, path: Path, series: Sequence[str]) -> NwbSession:
    units, trials = content.units, content.trials
    if units is None or "spike_times" not in units.colnames:
        raise ResponsesError(
            f"{path} holds no units with spike times (its table 'units' has no 'spike_times')."
        )
    if trials is None or len(trials) == 0:
        raise ResponsesError(f"{path} holds no trials: its table 'trials' is missing or empty.")
    n_units = len(units)
    single = [name for name in units.colnames if name not in RAGGED and np.ndim(units[name][0]) == 0]
    table = pd.DataFrame({name: units[name][:] for name in single}, index=list(units.id[:]))
    table["region"] = [_region(units, unit) for unit in range(n_units)]
    watched = "obs_intervals" in units.colnames
    subject = content.subject
    return NwbSession(
        path.stem,
        [np.sort(np.asarray(units["spike_times"][unit], dtype=float)) for unit in range(n_units)],
        table,
        trials.to_dataframe(),
        [np.reshape(units["obs_intervals"][unit], (-1, 2)) if watched else None for unit in range(n_units)],
        {name: _series(content, name) for name in series},
        (subject and subject.subject_id) or "",
        Provenance(
            species=(subject and subject.species) or "", citation="; ".join(content.related_publications or [])
        ),
    )


def _region(units: Any, unit: int) -> str:
    """Name where a unit's electrodes lie; empty where the file says nothing of it."""
    if "electrodes" not in units.colnames:
        return ""
    return "/".join(sorted(set(units["electrodes"][unit]["location"].astype(str))))


def _series(content: Any, name: str) -> TimeSeries:
    import pynwb

    stored: dict[str, Any] = {
        str(each.name): each for each in content.objects.values() if isinstance(each, pynwb.TimeSeries)
    }
    if name not in stored:
        raise unknown_name("time series of the NWB file", name, stored)
    found = stored[name]
    values = np.asarray(found.data[:], dtype=float)
    values = values.reshape(len(values), -1) * found.conversion + found.offset
    if found.timestamps is not None:
        times = np.asarray(found.timestamps[:], dtype=float)
    else:
        times = found.starting_time + np.arange(len(values)) / found.rate
    if len(times) < 2 or not (np.diff(times) > 0).all():
        raise ResponsesError(
            f"The time series {name!r} has {len(times)} samples; expected two or more, in order."
        )
    return TimeSeries(times, values, found.unit)
