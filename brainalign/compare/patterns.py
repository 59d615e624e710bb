"""Bring a region's responses into the form that metrics compare: one value a stimulus and unit."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float

from brainalign.errors import NeedsError, ResponsesError

FEWEST_STIMULI = 10

ROUNDING = 1e-12
"""Share of a unit's largest response under which differences between stimuli are rounding."""

NO_REPEATS = f"no ceiling: the recording has no repeats, or of fewer than {FEWEST_STIMULI} stimuli"


@dataclass(frozen=True, eq=False)
class Patterns:
    """Responses of the units that can be compared, rows sorted by stimulus id.

    Parameters
    ----------
    stimuli
        Ids, sorted.
    mean
        Responses averaged over repeats, shape (stimulus, unit).
    repeats
        Single repeats, shape (stimulus, unit, repeat), NaN where one is missing, whole presentations
        sorted by their values; None where fewer than ten stimuli were repeated.
    units, subjects
        Name and subject of each unit.
    n_masked
        Units left out because their mean response is missing for a stimulus or never changes.
    """

    stimuli: tuple[str, ...]
    mean: Float[np.ndarray, "stimulus unit"]
    repeats: Float[np.ndarray, "stimulus unit repeat"] | None
    units: tuple[str, ...]
    subjects: tuple[str, ...]
    n_masked: int

    def only(self, keep: np.ndarray) -> "Patterns":
        """Leave the units for which `keep` is true; the others are not counted as masked."""
        names = [np.array(column, dtype=object)[keep] for column in (self.units, self.subjects)]
        repeats = None if self.repeats is None else self.repeats[:, keep]
        return Patterns(
            self.stimuli, self.mean[:, keep], repeats, tuple(names[0]), tuple(names[1]), self.n_masked
        )


def find_patterns(responses: xr.DataArray, owner: str) -> Patterns:
    """Average responses over repeats, sort them by stimulus id, and mask units that cannot be compared.

    A unit is masked if its mean response to any stimulus is missing (NaN), or is the same for all but
    for rounding.

    Raises
    ------
    NeedsError
        Responses over time, which must be averaged over a window first.
    ResponsesError
        Fewer than ten stimuli, or no unit left.
    """
    if "time" in responses.dims:
        raise NeedsError(
            f"{owner} has responses over time; choose a window and average it first "
            "(responses.sel(time=slice(a, b)).mean('time'))."
        )
    if responses.dims[0] == "trial":
        responses = _stack_trials(responses)
    check_enough_stimuli(responses.sizes["stimulus"], owner)
    responses = responses.isel(stimulus=np.argsort(responses["stimulus"].values.astype(str)))
    values = responses.values.astype(np.float64)
    repeats = _sorted_repeats(values) if "repeat" in responses.dims else None
    mean = values if repeats is None else _mean_of_valid(repeats)
    missing = np.isnan(mean).any(axis=0)
    known = np.where(missing, 0.0, mean)
    constant = ~missing & (np.ptp(known, axis=0) <= ROUNDING * np.abs(known).max(axis=0))
    keep = ~(missing | constant)
    if not keep.any():
        raise ResponsesError(
            f"{owner} has no unit left: of {keep.size}, {missing.sum()} miss responses and {constant.sum()} "
            "never change."
        )
    names = responses["unit"].values.astype(str) if "unit" in responses.coords else np.arange(keep.size)
    found = Patterns(
        tuple(responses["stimulus"].values.tolist()),
        mean,
        repeats if repeats is not None and _n_repeated(repeats) >= FEWEST_STIMULI else None,
        tuple(str(name) for name in names),
        tuple(str(name) for name in responses["subject"].values),
        int((~keep).sum()),
    )
    return found.only(keep)


def check_enough_stimuli(n_stimuli: int, owner: str) -> None:
    """Raise if there are too few stimuli for any comparison to mean something."""
    if n_stimuli < FEWEST_STIMULI:
        raise ResponsesError(f"{owner} has {n_stimuli} stimuli; a comparison needs {FEWEST_STIMULI} at least.")


def _sorted_repeats(values: np.ndarray) -> np.ndarray:
    """Sort each stimulus's presentations by their values, and drop empty ones at the end.

    Random halves of the repeats then do not depend on the order in which trials are stored. All units'
    responses in one presentation stay together.
    """
    n_stimuli, n_units, n_repeats = values.shape
    presentations = values.transpose(0, 2, 1).reshape(-1, n_units)
    stimulus = np.repeat(np.arange(n_stimuli), n_repeats)
    order = np.lexsort([*presentations.T[::-1], stimulus])
    ordered = presentations[order].reshape(n_stimuli, n_repeats, n_units).transpose(0, 2, 1)
    held = ~np.isnan(ordered).all(axis=(0, 1))
    return np.ascontiguousarray(ordered[:, :, held])


def _n_repeated(repeats: np.ndarray) -> int:
    """Count the stimuli of which some unit has two repeats."""
    return int(((~np.isnan(repeats)).sum(axis=2) >= 2).any(axis=1).sum())


def _mean_of_valid(values: np.ndarray) -> np.ndarray:
    valid = ~np.isnan(values)
    count = valid.sum(axis=2)
    total = np.where(valid, values, 0.0).sum(axis=2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _stack_trials(responses: xr.DataArray) -> xr.DataArray:
    """Turn (trial, unit) into (stimulus, unit, repeat), NaN where a stimulus has fewer trials."""
    ids = responses["stimulus"].values.astype(str)
    stimuli, place = np.unique(ids, return_inverse=True)
    order = np.argsort(place, kind="stable")
    first = np.searchsorted(place[order], np.arange(len(stimuli)))
    repeat = np.arange(len(order)) - first[place[order]]
    stacked = np.full((len(stimuli), responses.sizes["unit"], repeat.max() + 1), np.nan)
    stacked[place[order], :, repeat] = responses.values[order]
    coords = {
        name: responses.coords[name] for name in ("unit", "region", "subject") if name in responses.coords
    }
    return xr.DataArray(
        stacked, dims=("stimulus", "unit", "repeat"), coords={"stimulus": stimuli.astype(object), **coords}
    )
