"""Recordings of conditions without images: trajectories of a population, of a network's and of the brain's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from jaxtyping import Float

from brainalign.data import Recording
from brainalign.errors import AlignmentError, ResponsesError

Array = np.ndarray

EVENTS = {"target": "target", "move": "movement"}
"""Events of a network's trial by what the name of a recording's event holds; ``go`` is any other."""

FEWEST_TIMES = 10
"""Times that network and brain must share for their courses to be compared."""


@dataclass(frozen=True, eq=False)
class Courses:
    """How a population's activity goes under each condition.

    Parameters
    ----------
    name
        Of the region or layer.
    conditions
        Ids, one a row.
    values
        Shape (condition, time, unit); a recording without time has two equal times.
    times
        Seconds from the event.
    """

    name: str
    conditions: tuple[str, ...]
    values: Float[Array, "condition time unit"]
    times: Float[Array, " time"]

    def without(self, condition: int) -> "Courses":
        """Leave one condition out."""
        kept = tuple(np.delete(self.conditions, condition).tolist())
        return replace(self, conditions=kept, values=np.delete(self.values, condition, axis=0))

    def at(self, other: "Courses") -> "Courses":
        """Take the conditions of another in its order, at those of its times that both have, by interpolation.

        Raises
        ------
        AlignmentError
            A condition that is missing, or fewer than `FEWEST_TIMES` times in common.
        """
        places = {condition: row for row, condition in enumerate(self.conditions)}
        missing = [each for each in other.conditions if each not in places]
        if missing:
            raise AlignmentError(f"{self.name!r} has no course under condition {missing[0]!r}.")
        values = self.values[[places[each] for each in other.conditions]]
        # A hair of slack for times that are equal but for rounding.
        slack = 1e-6
        shared = other.times[(other.times >= self.times[0] - slack) & (other.times <= self.times[-1] + slack)]
        if len(shared) < min(FEWEST_TIMES, len(other.times)):
            raise AlignmentError(
                f"{self.name!r} goes from {self.times[0]:.3g} to {self.times[-1]:.3g} s and {other.name!r} "
                f"from {other.times[0]:.3g} to {other.times[-1]:.3g} s; they share {len(shared)} times of the "
                f"latter, and {FEWEST_TIMES} are needed."
            )
        return replace(
            self, conditions=other.conditions, values=interpolated(values, self.times, shared), times=shared
        )

    def between(self, first: float, last: float) -> "Courses":
        """Keep the times from the first to the last."""
        kept = (self.times >= first - 1e-6) & (self.times <= last + 1e-6)
        return replace(self, values=self.values[:, kept], times=self.times[kept])


def interpolated(
    values: Float[Array, "condition time unit"], times: Float[Array, " time"], wanted: Float[Array, " wanted"]
) -> Float[Array, "condition wanted unit"]:
    """Interpolate linearly between times.

    Examples
    --------
    >>> interpolated(np.array([[[0.0], [2.0]]]), np.array([0.0, 1.0]), np.array([0.5])).tolist()
    [[[1.0]]]
    """
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    share = np.clip((wanted - times[after - 1]) / (times[after] - times[after - 1]), 0, 1)[:, None]
    return (1 - share) * values[:, after - 1] + share * values[:, after]


def of_conditions(recording: Recording) -> bool:
    """Say whether a recording is of conditions without images, so that networks must act them out."""
    return recording.stimuli is not None and recording.stimuli.images is None


def courses_of(region: xr.DataArray, name: str) -> Courses:
    """Average a region's trials, or its repeats, under each condition.

    Raises
    ------
    ResponsesError
        A unit without a value at some condition and time.
    """
    if "other_stimulus" in region.dims:
        raise ResponsesError(f"Region {name!r} holds dissimilarity matrices, and no activity over time.")
    averaged = region.mean("repeat") if "repeat" in region.dims else region
    if "trial" in region.dims:
        averaged = averaged.groupby("stimulus").mean("trial")
    if "time" not in averaged.dims:
        averaged = averaged.expand_dims(time=[0.0, 1.0])
    averaged = averaged.transpose("stimulus", "time", "unit")
    values = averaged.values.astype(np.float64)
    if not np.isfinite(values).all():
        units = int((~np.isfinite(values)).any(axis=(0, 1)).sum())
        raise ResponsesError(
            f"Region {name!r} lacks values of {units} units at some condition or time; leave out those units "
            "or conditions."
        )
    conditions = tuple(map(str, averaged["stimulus"].values.tolist()))
    return Courses(name, conditions, values, averaged["time"].values.astype(np.float64))


def halves_of_trials(
    region: xr.DataArray, name: str, n: int, rng: np.random.Generator
) -> Iterator[tuple[Courses, Courses]]:
    """Divide each condition's trials in random halves, `n` times; none where some condition has one trial."""
    if "trial" not in region.dims:
        return
    labels = region["stimulus"].values
    by_condition = [np.flatnonzero(labels == each) for each in dict.fromkeys(labels.tolist())]
    if min(map(len, by_condition)) < 2:
        return
    for _ in range(n):
        first, second = [], []
        for trials in by_condition:
            order = rng.permutation(trials)
            first += order[: len(order) // 2].tolist()
            second += order[len(order) // 2 :].tolist()
        yield courses_of(region.isel(trial=first), name), courses_of(region.isel(trial=second), name)


def event_of(recording: Recording) -> str:
    """Name the event that a recording's times count from: ``target``, ``movement``, or else ``go``."""
    said = " ".join(str(region.attrs.get("align_to", "")) for region in recording.responses.values())
    return next((name for word, name in EVENTS.items() if word in said), "go")


def angles_of(recording: Recording, conditions: Sequence[str]) -> Float[Array, " condition"] | None:
    """Give the directions of conditions in degrees, None where they are not known."""
    if unlabelled(recording):
        return None
    assert recording.stimuli is not None
    return recording.stimuli.metadata.loc[list(conditions), "angle"].to_numpy(dtype=np.float64)


def unlabelled(recording: Recording) -> bool:
    """Say whether conditions lack angles, so that a network's correspond to them in number only."""
    return recording.stimuli is None or "angle" not in recording.stimuli.metadata.columns
