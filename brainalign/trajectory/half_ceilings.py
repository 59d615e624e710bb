"""How well the learning curves of two halves of the subjects agree: the most that a model can be asked for."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float

from brainalign.errors import NeedsError, ResponsesError
from brainalign.metrics.reliability import spearman_brown


@dataclass(frozen=True)
class HalfCeilings:
    """How well the mean curves of two random halves of the subjects agree, and what that allows a model.

    Parameters
    ----------
    correlation
        Pearson's r between the halves' curves over their points, averaged over splits.
    reliability
        Of the mean curve of all subjects: ``2 r / (1 + r)``.
    ceiling
        Its root: the correlation that a model of the true curve would reach with the mean of all subjects.
    rms
        Root of the mean squared difference between the halves, in the curves' unit.
    rms_floor
        How far the mean of all subjects lies from the true curve, ``rms sqrt(n_1 n_2) / (n_1 + n_2)``, half of
        `rms` for equal halves: a model that comes closer fits these subjects' noise.
    n_subjects, n_points, n_splits
        Subjects with any value, points that a curve has (steps times items), random splits.
    """

    correlation: float
    reliability: float
    ceiling: float
    rms: float
    rms_floor: float
    n_subjects: int
    n_points: int
    n_splits: int


def half_ceilings(curves: xr.DataArray, n: int, generator: np.random.Generator) -> HalfCeilings:
    """Hold the mean curves of two disjoint random halves of the subjects against each other.

    The halves' r is averaged over splits before the Spearman-Brown correction. Any two curves that rise
    correlate highly, so a model that reaches `ceiling` may still be far off: see `rms_floor` too. Where there
    are several groups choose one first; halves mix them.

    Parameters
    ----------
    curves
        As `learning_curves` gives; the points of all items count together. NaN is left out of the means, and
        a point that only one half has out of the comparison.
    n
        Number of random splits. Of an odd number of subjects one half, drawn anew, has one more.
    generator
        Draws the halves.

    Returns
    -------
    HalfCeilings
        Correlation, reliability and ceiling are NaN if in any split fewer than three points are shared or a
        half's curve is flat; the ceiling is also NaN where the reliability is below 0.

    Raises
    ------
    ResponsesError
        Dimensions other than (subject, step) or (subject, step, item), or no split.
    NeedsError
        Fewer than two subjects with values, or halves that share no point.

    References
    ----------
    Spearman (1910) and Brown (1910), Br J Psychol 3.

    Examples
    --------
    >>> same = xr.DataArray(np.tile([0.5, 0.6, 0.9], (4, 1)), dims=("subject", "step"))
    >>> found = half_ceilings(same, 10, np.random.default_rng(0))
    >>> round(found.ceiling, 6), found.rms
    (1.0, 0.0)
    """
    if curves.dims not in (("subject", "step"), ("subject", "step", "item")) or n < 1:
        raise ResponsesError(
            f"Curves of the dimensions {curves.dims} and {n} splits were given; expected (subject, step) or "
            "(subject, step, item), as learning_curves gives, and a split or more."
        )
    values = curves.values.reshape(len(curves), -1).astype(np.float64)
    values = values[~np.isnan(values).all(axis=1)]
    if len(values) < 2:
        raise NeedsError(f"{len(values)} subject has values; halves of the subjects take two or more.")
    found = []
    for _ in range(n):
        order = generator.permutation(len(values))
        cut = (len(values) + int(generator.integers(2))) // 2
        found.append(_agreement(_mean(values[order[:cut]]), _mean(values[order[cut:]])))
    correlation, square = np.mean(found, axis=0)
    reliability = spearman_brown(np.array([correlation])).item()
    share = np.sqrt((len(values) // 2) * ((len(values) + 1) // 2)) / len(values)
    return HalfCeilings(
        correlation=float(correlation),
        reliability=reliability,
        ceiling=float(np.sqrt(reliability)) if reliability >= 0 else float("nan"),
        rms=float(np.sqrt(square)),
        rms_floor=float(np.sqrt(square) * share),
        n_subjects=len(values),
        n_points=values.shape[1],
        n_splits=n,
    )


def _mean(values: Float[np.ndarray, "subject point"]) -> Float[np.ndarray, " point"]:
    known = ~np.isnan(values)
    total = np.sum(values, axis=0, where=known)
    return np.divide(total, known.sum(axis=0), out=np.full(total.shape, np.nan), where=known.any(axis=0))


def _agreement(x: Float[np.ndarray, " point"], y: Float[np.ndarray, " point"]) -> tuple[float, float]:
    """Correlate two curves, and give the mean of their squared differences."""
    shared = ~np.isnan(x) & ~np.isnan(y)
    if not shared.any():
        raise NeedsError("Two halves of the subjects share no point of the curves; take wider blocks.")
    x, y = x[shared], y[shared]
    square = float(np.mean((x - y) ** 2))
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan"), square
    return float(np.corrcoef(x, y)[0, 1]), square
