"""In which order curves rise: layers, regions, item types, by paired differences over seeds."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float
from sklearn.isotonic import isotonic_regression

from brainalign.errors import BrainalignError
from brainalign.trajectory.clocks import LOG, clock, step_at
from brainalign.trajectory.curves import LABELS, Curve
from brainalign.trajectory.seed_tests import over_seeds, with_verdicts


def rise_times(
    curves: Float[np.ndarray, "seed checkpoint"], steps: Float[np.ndarray, " checkpoint"], share: float = 0.5
) -> Float[np.ndarray, " seed"]:
    """Give the step by which each seed's curve has done a share of its change, with stages or without.

    A curve is made monotone by isotonic regression, in the direction in which the mean curve goes from its
    first to its last third, and read between checkpoints in log steps.

    Parameters
    ----------
    curves
        One a seed.
    steps
        Training steps, increasing.
    share
        Of the change, in (0, 1).

    Returns
    -------
    array
        Steps; NaN for a seed that lacks values, or whose curve does not go where the mean goes.

    Examples
    --------
    >>> steps = np.array([0.0, 1.0, 3.0, 7.0, 15.0])
    >>> rise_times(np.array([[0.0, 0.0, 0.5, 1.0, 1.0], [0.0, 0.5, 1.0, 1.0, 1.0]]), steps)
    array([3., 1.])
    """
    if not 0 < share < 1:
        raise BrainalignError(f"A share of a curve's change lies between 0 and 1; {share:g} was given.")
    third = max(curves.shape[1] // 3, 1)
    mean = np.nanmean(curves, axis=0) if np.isfinite(curves).any() else np.full(curves.shape[1], np.nan)
    rising = mean[-third:].mean() >= mean[:third].mean()
    time = clock(steps, LOG)
    times = []
    for curve in curves:
        if not np.isfinite(curve).all():
            times.append(np.nan)
            continue
        smooth = isotonic_regression(curve if rising else -curve)
        done = (smooth - smooth[0]) / (np.ptp(smooth) or np.nan)
        after = int(np.argmax(done >= share))
        if not np.isfinite(done).all() or after == 0:
            times.append(np.nan)
            continue
        part = (share - done[after - 1]) / (done[after] - done[after - 1])
        times.append(time[after - 1] + part * (time[after] - time[after - 1]))
    return step_at(np.array(times), steps, LOG)


def order_of(curves: Sequence[Curve], share: float = 0.5) -> pd.DataFrame:
    """Compare when curves rise, in pairs over the same seeds.

    Parameters
    ----------
    curves
        Two or more of one network, task and rule, as of its layers, or one of several regions.
    share
        Of each curve's change, see `rise_times`.

    Returns
    -------
    DataFrame
        A row a pair: ``first`` and ``second`` (what tells them apart), ``estimate``: the steps of the second
        over those of the first (geometric mean over seeds), ``low`` and ``high`` (95 % t-interval of the paired
        difference of logarithms), ``p`` (its t-test), ``p_holm`` (over all pairs), ``n_seeds``, and
        ``verdict``: who is earlier, ``tie``, or why it cannot be told.

    Raises
    ------
    BrainalignError
        For fewer than two curves, or curves of different networks, tasks or rules.
    """
    if len(curves) < 2:
        raise BrainalignError(f"An order needs two curves or more; {len(curves)} was given.")
    for label in ("network", "task", "rule"):
        values = sorted({curve.labels[label] for curve in curves})
        if len(values) > 1:
            raise BrainalignError(
                f"An order is of the curves of one {label}; these are of {', '.join(values)}. Their seeds are "
                "not the same networks, so their times cannot be paired."
            )
    differing = [label for label in LABELS if len({curve.labels[label] for curve in curves}) > 1]
    rows = []
    for first, second in combinations(curves, 2):
        seeds = [seed for seed in first.seeds if seed in second.seeds]
        logs = [
            np.log(
                1 + rise_times(curve.values, curve.steps, share)[[curve.seeds.index(seed) for seed in seeds]]
            )
            for curve in (first, second)
        ]
        found = over_seeds(logs[1] - logs[0])
        found |= {name: np.exp(found[name]) for name in ("estimate", "low", "high")}
        rows.append({**_named(first, second, differing), **found})
    earlier = [f"{row['first'] if row['estimate'] > 1 else row['second']} earlier" for row in rows]
    return with_verdicts(rows, earlier)


def _named(first: Curve, second: Curve, differing: Sequence[str]) -> dict[str, str]:
    names = [", ".join(filter(None, (each.labels[label] for label in differing))) for each in (first, second)]
    return dict(zip(("first", "second"), names, strict=True))
