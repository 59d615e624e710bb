"""Paired differences over seeds: their mean, interval and test, and the control of several."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import t as student

from brainalign.compare.differences import holm
from brainalign.trajectory.crossed_interval import FEWEST, crossed_interval


def over_seeds(values: Float[np.ndarray, " seed"]) -> dict[str, float]:
    """Give the mean of finite values with its 95 % t-interval, and p that it is 0.

    Interval and p are NaN below five seeds, p also where all values are the same.

    Examples
    --------
    >>> {name: round(float(each), 3) for name, each in over_seeds(np.array([1.0, 2, 3, 2, np.nan, 2])).items()}
    {'estimate': 2.0, 'low': 1.122, 'high': 2.878, 'p': 0.003, 'n_seeds': 5.0}
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return {"estimate": np.nan, "low": np.nan, "high": np.nan, "p": np.nan, "n_seeds": 0}
    mean, low, high = crossed_interval(values[:, None])
    p, n = np.nan, len(values)
    if n >= FEWEST and np.ptp(values) > 0:
        p = float(2 * student.sf(abs(mean) * np.sqrt(n) / values.std(ddof=1), n - 1))
    return {"estimate": mean, "low": low, "high": high, "p": p, "n_seeds": n}


def with_verdicts(rows: Sequence[dict], significant: Sequence[str]) -> pd.DataFrame:
    """Add ``p_holm`` over all rows that have a ``p``, and what each row shows.

    Parameters
    ----------
    rows
        With what `over_seeds` gives.
    significant
        The verdict of each row, should its ``p_holm`` be below 0.05; else it is a tie, or not testable.
    """
    p = np.array([row["p"] for row in rows], dtype=float)
    adjusted, tested = np.full(len(p), np.nan), np.isfinite(p)
    if tested.any():
        adjusted[tested] = holm(p[tested])
    verdicts = []
    for row, each, verdict in zip(rows, adjusted, significant, strict=True):
        if np.isnan(each):
            verdict = f"not testable: values of {row['n_seeds']} seeds; {FEWEST} that differ are needed"
        elif each >= 0.05:
            verdict = "tie"
        verdicts.append(verdict)
    return pd.DataFrame(rows).assign(p_holm=adjusted, verdict=verdicts)
