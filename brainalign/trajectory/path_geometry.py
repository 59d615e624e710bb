"""What a path does, measured in the whole space and not in a plane: its length, and where it goes."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int
from scipy import stats

from brainalign.errors import BrainalignError
from brainalign.trajectory.path_points import HALF, NETWORK, PIXELS, SUBJECT

Array = np.ndarray

FEWEST_SEEDS = 5
"""Fewer seeds have no interval."""


class Path(NamedTuple):
    """One run's layer, and the places of its points in the order of training."""

    rule: str
    seed: int
    layer: str
    points: Int[Array, " checkpoint"]


def distances_to_regions(paths: xr.Dataset) -> pd.DataFrame:
    """Distance to each region at each checkpoint, beside the distances of the region from itself.

    The distance to a region is the mean over its subjects, and so is `between_subjects`, the distance of two of
    them: one brain is that far from another. `between_halves` is the distance of two halves of the region's
    data, each noisier than the whole. A network nearer to a brain than these is as near as can be told.

    Parameters
    ----------
    paths
        What `representational_paths` returns.

    Returns
    -------
    pandas.DataFrame
        Columns rule (``pixels`` for those), seed, layer, checkpoint, region, distance, between_subjects,
        between_halves; the last two NaN for a region with one subject, or without halves.
    """
    distance, rows = paths["distance"].values, []
    for region in _regions(paths):
        subjects, halves = _places(paths, SUBJECT, region), _places(paths, HALF, region)
        apart = {
            "between_subjects": _mean_apart(distance, subjects),
            "between_halves": _mean_apart(distance, halves),
        }
        for point in np.flatnonzero(np.isin(paths["kind"].values, (NETWORK, PIXELS))):
            labels = {name: paths[name].values[point] for name in ("rule", "seed", "layer", "checkpoint")}
            labels["rule"] = labels["rule"] or PIXELS
            rows.append(labels | {"region": region, "distance": distance[point, subjects].mean()} | apart)
    return pd.DataFrame(rows)


def path_lengths(paths: xr.Dataset) -> pd.DataFrame:
    r"""Length of each path, the distance of its ends, and how straight it is.

    Lengths are sums of arcs θ = arccos(similarity), in radians: on a sphere no path is shorter than the arc
    between its ends, so that straightness, end_to_end / length, is at most 1. A length grows with the number of
    checkpoints, and with noise; compare paths of the same checkpoints. Straightness is NaN for a path that goes
    nowhere.
    """
    arcs, rows = arcs_of(paths), []
    for path in each_path(paths):
        length = float(arcs[path.points[:-1], path.points[1:]].sum())
        ends = float(arcs[path.points[0], path.points[-1]])
        straightness = ends / length if length > 0 else np.nan
        rows.append((*path[:3], len(path.points), length, ends, straightness))
    columns = ("rule", "seed", "layer", "n_checkpoints", "length", "end_to_end", "straightness")
    return pd.DataFrame(rows, columns=pd.Index(columns))


def steps_towards(paths: xr.Dataset) -> pd.DataFrame:
    r"""Cosine between each step of each path and the direction to each region.

    .. math:: \cos = \frac{\langle x_{t+1} - x_t,\; b - x_t\rangle}
        {\lVert x_{t+1} - x_t\rVert \lVert b - x_t\rVert}
        = \frac{s^2 + c^2 - e^2}{2 s c},

    from the chords :math:`\sqrt{2 - 2\,\text{similarity}}` s of the step, c from its start to a subject b and e
    from its end: what it is in the full space of classical scaling, without finding the coordinates. Mean over
    the region's subjects. `by_chance` is s c / 4, the cosine of a step along the sphere at right angles to the
    brain's direction: a chord lies inside the sphere, as the brain does, so that any step seems to go a little
    its way. Exact under ``rsa``, whose points are unit vectors; under ``procrustes`` for small steps.

    Returns
    -------
    pandas.DataFrame
        Columns rule, seed, layer, checkpoint (where the step starts), next, region, cosine, by_chance.
    """
    chords, rows = chords_of(paths), []
    checkpoints = paths["checkpoint"].values
    for region in _regions(paths):
        subjects = _places(paths, SUBJECT, region)
        for path in each_path(paths):
            starts, ends = path.points[:-1], path.points[1:]
            step = chords[starts, ends][:, None]
            start, end = chords[np.ix_(starts, subjects)], chords[np.ix_(ends, subjects)]
            moved = (step > 0) & (start > 0)
            product = np.where(moved, 2 * step * start, np.nan)
            cosine = ((step**2 + start**2 - end**2) / product).mean(axis=1)
            by_chance = (step * start / 4).mean(axis=1)
            rows += [
                (*path[:3], checkpoints[one], checkpoints[other], region, *values)
                for one, other, *values in zip(starts, ends, cosine, by_chance, strict=True)
            ]
    columns = ("rule", "seed", "layer", "checkpoint", "next", "region", "cosine", "by_chance")
    return pd.DataFrame(rows, columns=pd.Index(columns))


def approach(paths: xr.Dataset) -> pd.DataFrame:
    """Change of the distance to each region from the first checkpoint to the last: negative is nearer.

    Mean over seeds with its 95 % t-interval, for five seeds or more; with fewer, none, and `note` says so. The
    interval is over seeds, for these stimuli and subjects.

    Returns
    -------
    pandas.DataFrame
        Columns rule, layer, region, change, low, high, n_seeds, note.
    """
    distance, rows = paths["distance"].values, []
    for region in _regions(paths):
        subjects = _places(paths, SUBJECT, region)
        changes: dict[tuple[str, str], list[float]] = {}
        for path in each_path(paths):
            first, last = (distance[path.points[k], subjects].mean() for k in (0, -1))
            changes.setdefault((path.rule, path.layer), []).append(float(last - first))
        rows += [(rule, layer, region, *over_seeds(found)) for (rule, layer), found in changes.items()]
    columns = ("rule", "layer", "region", "change", "low", "high", "n_seeds", "note")
    return pd.DataFrame(rows, columns=pd.Index(columns))


def over_seeds(values: list[float]) -> tuple[float, float, float, int, str]:
    """Mean, ends of the 95 % t-interval, number of seeds, and why there is no interval.

    Examples
    --------
    >>> over_seeds([0.1, 0.3])[3:]
    (2, 'no interval: 2 seeds, it takes 5')
    """
    known = np.array([value for value in values if np.isfinite(value)])
    mean = float(known.mean()) if len(known) else np.nan
    if len(known) < FEWEST_SEEDS:
        return mean, np.nan, np.nan, len(known), f"no interval: {len(known)} seeds, it takes {FEWEST_SEEDS}"
    half = float(stats.t.ppf(0.975, len(known) - 1) * stats.sem(known))
    return mean, mean - half, mean + half, len(known), ""


def arcs_of(paths: xr.Dataset) -> Float[Array, "point point"]:
    """Angle between all points, in radians, a metric."""
    return np.arccos(paths["similarity"].values)


def chords_of(paths: xr.Dataset) -> Float[Array, "point point"]:
    """Straight distance between all points on the unit sphere: Euclidean under ``rsa``."""
    return np.sqrt(np.maximum(2 - 2 * paths["similarity"].values, 0.0))


def each_path(paths: xr.Dataset) -> Iterator[Path]:
    """Give each run's layers, points in the order of training.

    Raises
    ------
    BrainalignError
        A path of one checkpoint, or one that has a checkpoint twice.
    """
    places: dict[tuple[str, int, str], list[int]] = {}
    keys = zip(*(paths[name].values.tolist() for name in ("rule", "seed", "layer")), strict=True)
    for place, key in enumerate(keys):
        if paths["kind"].values[place] == NETWORK:
            places.setdefault(key, []).append(place)
    for key, own in places.items():
        steps = paths["checkpoint"].values[own]
        if len(own) < 2 or len(set(steps.tolist())) < len(own):
            raise BrainalignError(
                f"The path of rule {key[0]!r}, seed {key[1]}, layer {key[2]!r} has the checkpoints "
                f"{steps.tolist()}; it takes 2 or more, each once."
            )
        yield Path(*key, np.array(own)[np.argsort(steps)])


def _regions(paths: xr.Dataset) -> list[str]:
    """Name the regions, in order.

    Raises
    ------
    BrainalignError
        There is none.
    """
    regions = list(dict.fromkeys(paths["region"].values[paths["kind"].values == SUBJECT].tolist()))
    if not regions:
        raise BrainalignError("These paths hold no subject of any region, so nothing goes towards a brain.")
    return regions


def _places(paths: xr.Dataset, kind: str, region: str) -> Int[Array, " place"]:
    return np.flatnonzero((paths["kind"].values == kind) & (paths["region"].values == region))


def _mean_apart(distance: Float[Array, "point point"], places: Int[Array, " place"]) -> float:
    """Mean distance of different points; NaN where there is one."""
    first, second = np.triu_indices(len(places), 1)
    return float(distance[places[first], places[second]].mean()) if len(first) else np.nan
