"""A recording of any NWB file (Neurodata Without Borders): spikes in bins about an event of each trial."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float

from brainalign.data.kinematics import make_kinematics
from brainalign.data.nwb_binning import bin_spikes, sample_at, smooth, softened_range, spikes_outside, within
from brainalign.data.nwb_session import NwbSession, read_session
from brainalign.data.nwb_trials import (
    ChosenTrials,
    Window,
    choose_trials,
    condition_ids,
    condition_set,
    joined_names,
)
from brainalign.data.recording import Recording
from brainalign.data.responses import make_responses
from brainalign.errors import ResponsesError
from brainalign.names import unknown_name

FORMS = {
    "single": ("trial", "unit", "time"),
    "average": ("stimulus", "unit", "time"),
    "repeat": ("stimulus", "unit", "repeat", "time"),
}
QUANTITIES = {"pos": "position", "vel": "velocity", "acc": "acceleration"}
"""What the last word of a time series' name says that it is of."""


def recording_from_nwb(
    source: str | Path | NwbSession,
    *,
    align_to: str = "start_time",
    before: float = 0.0,
    after: float = 0.5,
    bin_width: float = 0.02,
    sigma: float = 0.0,
    trials: str = "single",
    condition: str = "",
    angle: str = "",
    kinematics: str = "",
    soft_normalise: bool = False,
    outside: str = "raise",
    region: str = "",
    select: Mapping[str, object] | None = None,
) -> Recording:
    """Make a recording of an NWB file: firing rates in bins about an event of each trial.

    A rate is a bin's count over its width, spikes/s. Spikes outside all windows are left out; how many is
    said in the responses' attribute ``n_spikes_outside``. A trial without the event (NaN) is left out too,
    and counted in ``n_trials_without_event``; a unit that was not observed throughout a window
    (``obs_intervals``) is NaN there, and averages are over the trials in which it was.

    Parameters
    ----------
    source
        The file, or what `read_session` made of it.
    align_to
        Column of the trials table with the time of the event: time 0.
    before, after
        Where the window begins and ends, seconds before and after the event.
    bin_width
        Seconds; the window must hold a whole number of bins. ``time`` is their centres.
    sigma
        Standard deviation of a Gaussian over time, seconds, cut off at the window; 0: rates as they are.
    trials
        ``single``: (trial, unit, time); ``average``: means over a condition's trials, (stimulus, unit, time);
        ``repeat``: a condition's trials as repeats, (stimulus, unit, repeat, time), NaN where one has fewer.
    condition
        Column of the trials table that names conditions, or several joined by ``+``. Empty: each trial is a
        condition of its own.
    angle
        Column with the reach's direction in degrees, counter-clockwise from +x: the stimuli's ``angle``.
    kinematics
        Time series, such as ``hand_vel`` or ``hand_pos+hand_vel``, at the centres of the bins. Two columns of
        ``hand_vel`` are ``x_velocity`` and ``y_velocity``. With ``repeat`` they are averaged.
    soft_normalise
        Divide each unit's rates by the range of its condition averages + 5 spikes/s (Churchland et al. 2012).
    outside
        What becomes of trials whose window leaves them: ``raise`` an error, ``drop`` and count them
        (``n_trials_outside``), or ``keep`` them with what was recorded then.
    region
        Region of all units; empty: where each unit's electrodes lie, by the file.
    select
        The trials to take: ``{"split": ["train", "val"]}``. None: all.

    Returns
    -------
    Recording
        A region for each place of electrodes. ``trial_index`` of single trials is their id in the trials table.

    Raises
    ------
    NeedsError
        The package ``pynwb`` is not installed.
    ResponsesError
        A file without spikes or trials, no trial left, a window that leaves a trial or is no whole number
        of bins, trials without a condition, conditions of one trial where repeats are asked, units of no
        region.
    UnknownNameError
        A column, time series or option that does not exist.
    """
    if trials not in FORMS:
        raise unknown_name("form of trials", trials, FORMS)
    if not sigma >= 0:
        raise ResponsesError(f"The Gaussian's sigma is {sigma} s; expected 0 or above.")
    session = source if isinstance(source, NwbSession) else read_session(source, joined_names(kinematics))
    window = Window(align_to, before, after, bin_width)
    chosen = choose_trials(session.trials, window, select or {}, outside)
    ids = condition_ids(chosen.table, condition)
    stimuli = condition_set(chosen.table, ids, condition, angle, session.name)
    rates = smooth(_rates(session, chosen, window), sigma / bin_width)
    if soft_normalise:
        rates = rates / softened_range(_averages(rates, ids, stimuli.ids))[:, None]
    shaped = _in_form(rates, ids, stimuli.ids, trials)
    facts = {
        "unit": "softly normalised" if soft_normalise else "spikes/s",
        "align_to": align_to,
        "bin_width": bin_width,
        "sigma": sigma,
        **chosen.counts,
    }
    rows = ids if trials == "single" else stimuli.ids
    responses = {
        place: _responses(session, window, shaped, rows, trials, place, units).assign_attrs(
            facts, n_spikes_outside=_outside(session, chosen, window, units)
        )
        for place, units in _places(session, region).items()
    }
    if trials == "single":
        index = ("trial", chosen.table.index.to_numpy())
        responses = {place: each.assign_coords(trial_index=index) for place, each in responses.items()}
    moved = _moved(session, joined_names(kinematics), chosen, window, ids, None if trials == "single" else rows)
    return Recording(session.name, stimuli, responses, provenance=session.provenance, kinematics=moved)


def _rates(session: NwbSession, chosen: ChosenTrials, window: Window) -> Float[np.ndarray, "trial unit time"]:
    """Count each unit's spikes, in spikes/s; NaN where it was not observed."""
    rates = np.empty((len(chosen.starts), len(session.spike_times), window.n_bins))
    for unit, (spikes, observed) in enumerate(zip(session.spike_times, session.observed, strict=True)):
        rates[:, unit] = bin_spikes(spikes, chosen.starts, window.n_bins, window.bin_width) / window.bin_width
        if observed is not None:
            rates[~within(observed, chosen.starts, window.duration), unit] = np.nan
    return rates


def _averages(rates: np.ndarray, ids: list[str], conditions: list[str]) -> np.ndarray:
    """Average over the trials of each condition; NaN where there is nothing to average."""
    labels = np.array(ids, dtype=object)
    groups = [rates[labels == each] for each in conditions]
    n_observed = [np.isfinite(group).sum(axis=0) for group in groups]
    return np.stack(
        [
            np.where(n > 0, np.nansum(group, axis=0) / np.maximum(n, 1), np.nan)
            for group, n in zip(groups, n_observed, strict=True)
        ]
    )


def _in_form(rates: np.ndarray, ids: list[str], conditions: list[str], form: str) -> np.ndarray:
    """Put trials in the form that is asked."""
    if form == "single":
        return rates
    if form == "average":
        return _averages(rates, ids, conditions)
    labels = np.array(ids, dtype=object)
    n_trials = {each: int((labels == each).sum()) for each in conditions}
    lonely = [each for each, n in n_trials.items() if n < 2]
    if lonely:
        raise ResponsesError(
            f"{len(lonely)} of {len(conditions)} conditions have a single trial, such as {lonely[0]!r}: no "
            "repeats. Name coarser conditions, leave these out by `select`, or ask for trials='average'."
        )
    repeats = np.full((len(conditions), rates.shape[1], max(n_trials.values()), rates.shape[2]), np.nan)
    for row, each in enumerate(conditions):
        repeats[row, :, : n_trials[each]] = rates[labels == each].transpose(1, 0, 2)
    return repeats


def _places(session: NwbSession, region: str) -> dict[str, np.ndarray]:
    """Give the units of each region, in the file's order."""
    places = defaultdict(list)
    for unit, place in enumerate(session.units["region"]):
        places[region or place].append(unit)
    if "" in places:
        raise ResponsesError(
            f"{session.name} does not say where {len(places[''])} of {len(session.units)} units lie; name it: "
            "region='M1'."
        )
    return {place: np.array(units) for place, units in places.items()}


def _responses(
    session: NwbSession,
    window: Window,
    values: np.ndarray,
    rows: list[str],
    form: str,
    place: str,
    units: np.ndarray,
) -> xr.DataArray:
    known = session.units.iloc[units].drop(columns="region")
    labels: dict = {str(name): ("unit", known[name].to_numpy()) for name in known.columns}
    labels["unit"] = np.array([str(each) for each in known.index], dtype=object)
    return make_responses(
        values[:, units], rows, region=place, subject=session.subject, dims=FORMS[form], time=window.time
    ).assign_coords(labels)


def _outside(session: NwbSession, chosen: ChosenTrials, window: Window, units: np.ndarray) -> int:
    return sum(spikes_outside(session.spike_times[unit], chosen.starts, window.duration) for unit in units)


def _moved(
    session: NwbSession,
    series: list[str],
    chosen: ChosenTrials,
    window: Window,
    ids: list[str],
    conditions: list[str] | None,
) -> xr.DataArray | None:
    """Sample the time series at the bins' centres, by trial or averaged by condition."""
    if not series:
        return None
    moments = chosen.starts[:, None] + window.before + window.time
    units, sampled = {}, []
    for name in series:
        if name not in session.series:
            raise unknown_name("time series of the session", name, session.series)
        found = session.series[name]
        for column in (columns := _column_names(name, found.values.shape[1])):
            if column in units:
                raise ResponsesError(
                    f"Two of the time series {', '.join(series)} hold {column!r}; ask for one."
                )
        units |= dict.fromkeys(columns, found.unit)
        sampled.append(sample_at(found.times, found.values, moments))
    values = np.concatenate(sampled, axis=1)
    if conditions is None:
        return make_kinematics(values, ids, units, dims=("trial", "kinematic", "time"), time=window.time)
    averaged = _averages(values, ids, conditions)
    return make_kinematics(
        averaged, conditions, units, dims=("stimulus", "kinematic", "time"), time=window.time
    )


def _column_names(series: str, n_columns: int) -> list[str]:
    """Name the columns of a time series: ``x_velocity``, ``y_velocity`` of ``hand_vel``."""
    quantity = QUANTITIES.get(series.split("_")[-1], series)
    if n_columns == 1:
        return [quantity]
    axes = "xyz" if n_columns <= 3 else range(1, n_columns + 1)
    return [f"{axis}_{quantity}" for axis, _ in zip(axes, range(n_columns), strict=False)]
