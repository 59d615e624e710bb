"""Scores of networks that act out a recording's conditions: rows of the same table as those of images."""

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainalign.compare.candidates import Candidate
from brainalign.compare.conditions import (
    Courses,
    angles_of,
    courses_of,
    event_of,
    halves_of_trials,
    unlabelled,
)
from brainalign.compare.resampling import interval
from brainalign.compare.rows import empty_values
from brainalign.data import Recording
from brainalign.errors import BrainalignError, NeedsError
from brainalign.metrics.condition_matching import matched_chance, matched_value
from brainalign.metrics.metric import Metric
from brainalign.metrics.smooth_chance import smooth_chance

Array = np.ndarray

RECORDING = "recording"
"""What the column ``network`` says of the recording's own value of a measure."""

N_HALVES = 10
"""Random halves of trials behind a ceiling."""

N_MATCHED = 3
"""Random halves of units on which unlabelled conditions are matched, here and in each draw of the null."""

MOST_MATCHED = 200
"""Draws of a null that matches conditions, at most: each is a search of its own."""

LEFT_OUT = "conditions left out"
"""What the column ``resampled`` says of an interval that leaves out one condition at a time."""

OF_CONDITIONS = ("dynamics", "tuning", "trajectory")
"""Families of metrics on activity over time under conditions."""


@dataclass(frozen=True)
class Options:
    """How conditions are compared.

    Parameters
    ----------
    n_null
        Draws of each null distribution; 0 for none.
    seed
        Seed of draws, halves and folds.
    match
        Whether to match conditions by the data where they have no labels.
    layers
        Globs of layers, or None for all.
    """

    n_null: int
    seed: int
    match: bool
    layers: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Value:
    """A value, those of its null distribution, those with each condition left out, and its ceiling."""

    raw: float
    null: Float[Array, " draw"]
    left_out: Float[Array, " condition"]
    ceiling: float = float("nan")
    note: str = ""


def score_conditions(
    recording: Recording, metrics: Sequence[Metric], entrants: Sequence[Candidate], options: Options
) -> list[dict]:
    r"""Score networks in each region by each metric, with the recording's own value where it has one.

    Measures of one side (families ``dynamics`` and ``tuning``) have a row for each layer and one for the region
    itself, under the network `RECORDING`. ``chance`` is the mean of the null distribution, ``p_value`` the
    share of it that is as high, :math:`(1 + \#\ge) / (1 + N)`. The interval leaves out one condition at a
    time (jackknife). Where trials allow it, the ceiling of a comparison is its value between halves of the
    trials.

    Raises
    ------
    NeedsError
        A network that has learned no task over conditions, or a metric that the conditions do not allow.
    """
    answers = [(each, _answers(each, recording, options.layers)) for each in entrants]
    rows = []
    for region, metric in ((r, m) for r in recording.regions for m in metrics):
        own = {"recording": recording.name, "region": region, "metric": metric.name}
        if metric.family not in OF_CONDITIONS:
            note = f"{metric.name} compares answers to images, and there are none"
            rows.append(empty_values(note) | own)
            continue
        brain = courses_of(recording[region], region)
        n_units = brain.values.shape[2]
        facts = {
            "subject": _only(recording[region]["subject"].values),
            "n_stimuli": len(brain.conditions),
            "n_units": n_units,
        }
        if metric.family != "trajectory":
            value = _measured(metric, brain, angles_of(recording, brain.conditions), options)
            rows.append(_row(value, brain, n_units) | own | facts | {"network": RECORDING, "layer": region})
        for network, layers in answers:
            for layer in layers:
                value = _held_against(metric, layer, brain, recording, region, options)
                labels = {
                    "network": network.name,
                    "task": network.task,
                    "rule": network.rule,
                    "seed": network.seed,
                    "checkpoint": network.checkpoint,
                    "layer": layer.name,
                }
                rows.append(_row(value, layer, layer.values.shape[2]) | own | facts | labels)
    return rows


def _answers(network: Candidate, recording: Recording, layers: tuple[str, ...] | None) -> list[Courses]:
    if network.answers is None:
        raise NeedsError(
            f"Recording {recording.name!r} comes without images, so {network.name!r} cannot be shown its "
            "stimuli, nor can it act them out: it has learned no task of movement. Give its images by a card "
            "of your own, a run of such a task (brainalign train rnn --task center_out …), or another "
            "recording (`brainalign list recordings`)."
        )
    assert recording.stimuli is not None
    found = network.answers(recording.stimuli, event_of(recording))
    chosen = [
        courses_of(each, layer)
        for layer, each in found.items()
        if layers is None or any(fnmatch.fnmatch(layer, glob) for glob in layers)
    ]
    if not chosen:
        raise NeedsError(f"No layer of {network.name!r} is named {layers}; it has: {', '.join(found)}.")
    return chosen


def _held_against(
    metric: Metric, layer: Courses, brain: Courses, recording: Recording, region: str, options: Options
) -> _Value:
    try:
        model = _over_the_same_times(layer, brain, recording, region)
        brain = brain.between(model.times[0], model.times[-1])
        if metric.family != "trajectory":
            return _measured(metric, model, angles_of(recording, brain.conditions), options)
        return _compared(metric, model, brain, recording, region, options)
    except NeedsError:
        raise
    except BrainalignError as error:
        return _undefined(str(error))


def _over_the_same_times(layer: Courses, brain: Courses, recording: Recording, region: str) -> Courses:
    """Bring a layer onto the brain's times; onto its mean from the event on where the brain has none."""
    if "time" in recording[region].dims:
        return layer.at(brain)
    after = layer.between(0.0, layer.times[-1])
    mean = np.repeat(after.values.mean(axis=1, keepdims=True), len(brain.times), axis=1)
    return Courses(layer.name, layer.conditions, mean, brain.times).at(brain)


def _measured(metric: Metric, side: Courses, angles: Array | None, options: Options) -> _Value:
    """Measure one side by itself."""
    kernel = metric.kernel
    rng = np.random.default_rng(options.seed)
    if metric.family == "tuning":
        if angles is None:
            return _undefined(f"{metric.name} needs the angles of the conditions, which are not known")

        def value(values: Array, kept: Array) -> float:
            return kernel.value(values.mean(axis=1), kept, rng)

        own_angles = angles
    else:

        def value(values: Array, kept: Array) -> float:
            return kernel.value(values, side.times, rng)

        own_angles = np.zeros(len(side.conditions))
    try:
        raw = value(side.values, own_angles)
        null = np.empty(0)
        if options.n_null and hasattr(kernel, "null"):
            second = own_angles if metric.family == "tuning" else side.times
            shown = side.values.mean(axis=1) if metric.family == "tuning" else side.values
            null = kernel.null(shown, second, options.n_null, rng)
    except BrainalignError as error:
        return _undefined(str(error))
    left_out = _left_out(
        lambda c: value(np.delete(side.values, c, axis=0), np.delete(own_angles, c)), len(side.conditions)
    )
    return _Value(raw, null, left_out)


def _compared(
    metric: Metric, model: Courses, brain: Courses, recording: Recording, region: str, options: Options
) -> _Value:
    """Compare two sides whose conditions correspond, by id or by matching."""
    kernel, times = metric.kernel, brain.times
    rng = np.random.default_rng(options.seed)
    corresponding = not getattr(kernel, "needs_correspondence", True) or not unlabelled(recording)
    if not corresponding:
        if not options.match:
            raise NeedsError(
                f"Conditions of {recording.name!r} have no angles, so a network's correspond to none of them "
                f"and {metric.name} cannot compare them one by one. Match them by the data themselves "
                "(match_conditions=True, --match-conditions), or choose a metric that needs no correspondence, "
                "such as jpca."
            )
        sides = kernel, model.values, brain.values, times
        raw = matched_value(*sides, rng, N_MATCHED)
        n_null = min(options.n_null, MOST_MATCHED)
        null = matched_chance(*sides, n_null, rng, N_MATCHED) if n_null else np.empty(0)
        return _Value(raw, null, np.empty(0), note="matched")

    def value(values: Array, others: Array) -> float:
        return kernel.compare(values, others, times, np.random.default_rng(options.seed))

    raw = value(model.values, brain.values)
    null = (
        smooth_chance(kernel, model.values, brain.values, times, options.n_null, rng)
        if options.n_null
        else np.empty(0)
    )
    left_out = _left_out(
        lambda c: value(np.delete(model.values, c, axis=0), np.delete(brain.values, c, axis=0)),
        len(model.conditions),
    )
    between = [
        value(one.between(times[0], times[-1]).values, other.between(times[0], times[-1]).values)
        for one, other in halves_of_trials(recording[region], region, N_HALVES, rng)
    ]
    return _Value(raw, null, left_out, float(np.mean(between)) if between else float("nan"))


def _left_out(value: Callable[[int], float], n: int) -> Float[Array, " condition"]:
    """Give a value with each condition left out; nothing where fewer do not allow it."""
    try:
        return np.array([value(c) for c in range(n)])
    except BrainalignError:
        return np.empty(0)


def _undefined(note: str) -> _Value:
    return _Value(float("nan"), np.empty(0), np.empty(0), note=note)


def _row(value: _Value, side: Courses, n_units: int) -> dict:
    low = high = p = chance = float("nan")
    n = len(value.left_out)
    if n > 1 and np.isfinite(value.left_out).all():
        variance = (n - 1) / n * float(np.square(value.left_out - value.left_out.mean()).sum())
        low, high = interval(value.raw, variance, float(n - 1))
    null = value.null[np.isfinite(value.null)]
    if len(null) and np.isfinite(value.raw):
        chance, p = float(null.mean()), float((1 + np.sum(null >= value.raw)) / (1 + len(null)))
    notes = [value.note] if value.note else []
    return empty_values("; ".join(notes)) | {
        "raw": value.raw,
        "low": low,
        "high": high,
        "chance": chance,
        "p_value": p,
        "ceiling": value.ceiling,
        "score": value.raw / value.ceiling if value.ceiling > 0 else float("nan"),
        "participation_ratio": _participation_ratio(side.values),
        "layer_units": n_units,
        "resampled": LEFT_OUT if np.isfinite(low) else "",
    }


def _participation_ratio(values: Float[Array, "condition time unit"]) -> float:
    points = values.reshape(-1, values.shape[2])
    squares = np.square(np.linalg.svd(points - points.mean(axis=0), compute_uv=False))
    return float(squares.sum() ** 2 / np.square(squares).sum()) if squares.sum() > 0 else float("nan")


def _only(subjects: Array) -> str:
    found = set(map(str, subjects.tolist()))
    return found.pop() if len(found) == 1 else ""
