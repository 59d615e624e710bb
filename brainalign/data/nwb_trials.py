"""Which trials of a session are taken, where their windows begin, and what condition each is of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from brainalign.data.nwb_binning import TOUCHING
from brainalign.data.stimuli import StimulusSet
from brainalign.errors import ResponsesError
from brainalign.names import unknown_name

OUTSIDE = ("raise", "drop", "keep")


@dataclass(frozen=True)
class Window:
    """A stretch of time about an event, in bins.

    Parameters
    ----------
    align_to
        Column of the trials table with the time of the event.
    before, after
        Where the window begins and ends, seconds before and after the event.
    bin_width
        Seconds.

    Raises
    ------
    ResponsesError
        A width that is not above 0, or a window that is empty or no whole number of bins.
    """

    align_to: str
    before: float
    after: float
    bin_width: float

    def __post_init__(self):
        if not self.bin_width > 0 or not self.before + self.after > 0:
            raise ResponsesError(
                f"A window from {-self.before} to {self.after} s in bins of {self.bin_width} s is empty; "
                "expected a width above 0 and an end after the beginning."
            )
        if abs(self.n_bins * self.bin_width - (self.before + self.after)) > 1e-6:
            raise ResponsesError(
                f"A window from {-self.before} to {self.after} s is no whole number of bins of "
                f"{self.bin_width} s; choose `before`, `after` and `bin_width` so that it is."
            )

    @property
    def n_bins(self) -> int:
        """How many bins the window holds."""
        return round((self.before + self.after) / self.bin_width)

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.n_bins * self.bin_width

    @property
    def time(self) -> Float[np.ndarray, " time"]:
        """Centres of the bins, seconds from the event."""
        return -self.before + self.bin_width * (np.arange(self.n_bins) + 0.5)


@dataclass(frozen=True, eq=False)
class ChosenTrials:
    """The trials that are taken.

    Parameters
    ----------
    table
        Their rows of the trials table.
    starts
        Where each window begins, seconds of the session's clock.
    counts
        How many were left out, and why.
    """

    table: pd.DataFrame
    starts: Float[np.ndarray, " trial"]
    counts: Mapping[str, int]


def choose_trials(
    trials: pd.DataFrame, window: Window, select: Mapping[str, object], outside: str
) -> ChosenTrials:
    """Take the trials that are selected, have the event, and hold the window.

    Parameters
    ----------
    trials
        A row a trial, with ``start_time`` and ``stop_time`` in seconds.
    window
        The window about the event.
    select
        For some columns the value, or the list of values, to take.
    outside
        ``raise`` an error if a window leaves its trial, ``drop`` the trial, or ``keep`` it.

    Raises
    ------
    UnknownNameError
        A column or a treatment that does not exist.
    ResponsesError
        An event's column that holds no times, no trial left, or a window that leaves its trial.
    """
    if outside not in OUTSIDE:
        raise unknown_name("treatment of trials that the window leaves", outside, OUTSIDE)
    for column in (window.align_to, *select):
        check_column(trials, column)
    selected = np.ones(len(trials), dtype=bool)
    for column, wanted in select.items():
        values = list(wanted) if isinstance(wanted, Iterable) and not isinstance(wanted, str) else [wanted]
        selected &= trials[column].isin(values).to_numpy()
    if not selected.any():
        raise ResponsesError(f"None of {len(trials)} trials has {dict(select)}; see what the columns hold.")
    have_event = selected & np.isfinite(_times(trials, window.align_to))
    if not have_event.any():
        raise ResponsesError(
            f"None of {selected.sum()} trials has a time in {window.align_to!r}; align to another event."
        )
    counts = {"n_trials_without_event": int((selected & ~have_event).sum()), "n_trials_outside": 0}
    taken = trials.iloc[np.flatnonzero(have_event)]
    starts = _times(taken, window.align_to) - window.before
    inside = (starts >= _times(taken, "start_time") - TOUCHING) & (
        starts + window.duration <= _times(taken, "stop_time") + TOUCHING
    )
    if outside == "raise" and not inside.all():
        raise ResponsesError(_leaving(taken, window, starts, inside))
    if outside == "drop":
        counts["n_trials_outside"] = int((~inside).sum())
        taken, starts = taken.iloc[np.flatnonzero(inside)], starts[inside]
        if not inside.any():
            raise ResponsesError("The window leaves every trial, so that none is left; narrow it.")
    return ChosenTrials(taken, starts, counts)


def _leaving(taken: pd.DataFrame, window: Window, starts: np.ndarray, inside: np.ndarray) -> str:
    events = starts + window.before
    lead = (events - _times(taken, "start_time")).min()
    rest = (_times(taken, "stop_time") - events).min()
    return (
        f"The window from {-window.before} to {window.after} s about {window.align_to!r} leaves "
        f"{(~inside).sum()} of {len(taken)} trials; what all trials hold is {lead:.3f} s before it and "
        f"{rest:.3f} s after it. Narrow the window, or say what becomes of these trials: outside='drop' or "
        "'keep'."
    )


def condition_ids(trials: pd.DataFrame, condition: str) -> list[str]:
    """Name the condition of each trial: its values in the columns, joined by ``/``; else the trial itself.

    Raises
    ------
    UnknownNameError
        A column that does not exist.
    ResponsesError
        A trial whose condition is missing.
    """
    columns = joined_names(condition)
    if not columns:
        return [f"trial{index}" for index in trials.index]
    for column in columns:
        check_column(trials, column)
        missing = trials[column].isna() | (trials[column].astype(str).str.strip() == "")
        if missing.any():
            raise ResponsesError(
                f"{missing.sum()} of {len(trials)} trials have no condition in {column!r}, such as trial "
                f"{trials.index[missing][0]}; leave them out by `select`, or name another column."
            )
    return ["/".join(_said(value) for value in row) for row in trials[columns].itertuples(index=False)]


def condition_set(trials: pd.DataFrame, ids: list[str], condition: str, angle: str, name: str) -> StimulusSet:
    """Make the stimulus set of the conditions, in order of their names, with the columns that name them.

    Raises
    ------
    UnknownNameError
        A column that does not exist.
    ResponsesError
        An angle that is missing, or that differs between trials of one condition.
    """
    index = pd.Index(sorted(set(ids)), name="stimulus", dtype=object)
    first = [ids.index(each) for each in index]
    columns = joined_names(condition)
    metadata = pd.DataFrame({column: trials[column].to_numpy()[first] for column in columns}, index=index)
    if angle:
        check_column(trials, angle)
        angles = trials[angle].to_numpy(dtype=float)
        metadata["angle"] = angles[first]
        odd = angles != metadata["angle"].loc[ids].to_numpy()
        if odd.any():
            raise ResponsesError(
                f"Trials of the condition {ids[np.flatnonzero(odd)[0]]!r} differ in {angle!r}, or lack it; "
                "expected one angle, in degrees, for each condition."
            )
    return StimulusSet(name, metadata)


def check_column(trials: pd.DataFrame, column: str) -> None:
    """Raise an `UnknownNameError` unless the trials table has the column."""
    if column not in trials:
        raise unknown_name("column of the trials table", column, map(str, trials.columns))


def joined_names(names: str) -> list[str]:
    """Split names that are joined by ``+``.

    Examples
    --------
    >>> joined_names("trial_type+trial_version")
    ['trial_type', 'trial_version']
    """
    return [name.strip() for name in names.split("+") if name.strip()]


def _times(trials: pd.DataFrame, column: str) -> Float[np.ndarray, " trial"]:
    try:
        return trials[column].to_numpy(dtype=float)
    except (TypeError, ValueError) as error:
        raise ResponsesError(f"The column {column!r} of the trials table holds no times in seconds.") from error


def _said(value: object) -> str:
    """Spell a value: whole numbers without a decimal point, whatever type they were stored as."""
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)
