"""Change-points of a learning curve, and which of the parts between them are plateaus."""

from itertools import pairwise

import numpy as np
import xarray as xr
from jaxtyping import Float
from ruptures.costs import CostLinear
from ruptures.detection import Dynp

from brainalign.trajectory.clocks import LOG, clock
from brainalign.trajectory.crossed_interval import crossed_interval

SHORTEST = 3
"""Checkpoints of a part at least."""
EXACT = 1e-12
"""Residual below which a fit is exact; of the squared range."""


def change_points(
    curves: Float[np.ndarray, "seed checkpoint"], steps: Float[np.ndarray, " checkpoint"]
) -> xr.Dataset:
    """Part a curve into straight lines in log steps, and tell plateaus from transitions.

    The mean curve is parted by dynamic programming (ruptures), in as many parts as the Bayesian information
    criterion favours. This describes a curve, and is no test: it does not know of smooth courses, which any
    number of lines will approximate, nor of correlated noise. `find_stages` tests.

    Parameters
    ----------
    curves
        One a seed, without NaN.
    steps
        Training steps, increasing.

    Returns
    -------
    xarray.Dataset
        Along ``part``: ``begin`` and ``end`` (steps of its first and last checkpoint), ``slope`` (of the curve,
        from the first to the last checkpoint in log steps being 1) with ``slope_low`` and ``slope_high`` (95 %
        t-interval over seeds, from five on) and ``kind``: plateau where that interval holds 0, rise, fall, or
        unknown without interval.

    Examples
    --------
    >>> steps = 2.0 ** np.arange(12) - 1
    >>> parts = change_points(np.array([[0, 0, 0, 0, 0, 1, 2, 3, 4, 4, 4, 4.0]]), steps)
    >>> parts["end"].values
    array([  15.,  255., 2047.])
    """
    mean, n, time = curves.mean(0), len(steps), clock(steps, LOG)
    scaled = (mean - mean.mean()) / max(np.ptp(mean), np.finfo(float).tiny)
    signal = np.column_stack([scaled, np.ones(n), time])
    search, cost = Dynp(model="linear", min_size=SHORTEST, jump=1).fit(signal), CostLinear().fit(signal)
    found = []
    for count in range(n // SHORTEST):
        ends = search.predict(n_bkps=count) if count else [n]
        residual = max(float(cost.sum_of_costs(ends)), EXACT)
        # Each part more has two coefficients and a place.
        found.append((n * np.log(residual / n) + 3 * count * np.log(n), ends))
    ends = min(found, key=lambda each: each[0])[1]
    rows = []
    for begin, end in pairwise([0, *ends]):
        slopes = np.polyfit(time[begin:end], curves[:, begin:end].T, 1)[0]
        slope, low, high = crossed_interval(slopes[:, None])
        rows.append((steps[begin], steps[end - 1], slope, low, high, _kind(slope, low, high)))
    names = ("begin", "end", "slope", "slope_low", "slope_high", "kind")
    return xr.Dataset(
        {name: ("part", list(column)) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    )


def _kind(slope: float, low: float, high: float) -> str:
    if not np.isfinite(low):
        return "unknown"
    return "plateau" if low <= 0 <= high else "rise" if slope > 0 else "fall"
