"""Paired differences between networks, each at the layer committed on other stimuli."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float

from brainalign.compare.comparison import Outcome
from brainalign.compare.resampling import Resamples, interval, p_value, welch_satterthwaite

Array = np.ndarray

DIFFERENCES = (
    "network",
    "other",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "p_fdr",
    "better",
    "seeds",
    "other_seeds",
    "resampled",
)

SIGNIFICANT = 0.05
"""The level of `better`: one less the level of the interval, so that both say the same."""


@dataclass(frozen=True)
class Entry:
    """One network's committed outcome; networks of one name and several seeds belong together."""

    network: str
    seed: int
    outcome: Outcome


def paired_differences(entries: Sequence[Entry], resamples: Resamples) -> pd.DataFrame:
    """Differences of all pairs of networks in one region by one metric, and tests that they are 0.

    Both networks see the same bootstrap samples, so what is hard about a stimulus cancels. A network
    with several seeds enters as their mean, and the variance of that mean over seeds (s²/seeds) is
    added, with Welch–Satterthwaite degrees of freedom.

    Returns
    -------
    pandas.DataFrame
        With the columns `DIFFERENCES`. `p` is two-sided, of the t-test with the variance and the degrees
        of freedom of the interval, so that p < .05 where the 95 % interval excludes 0; `better` is true
        where that interval lies above 0. Both speak of one pair. `p_holm` is `p` by Holm's correction
        (the chance of a single false alarm among all pairs of the table), `p_fdr` by Benjamini and
        Hochberg's (the expected share of false alarms among those found). A pair without a value has NaN,
        and counts for no correction.

    References
    ----------
    Holm (1979), Scand J Stat 6:65; Benjamini & Hochberg (1995), J R Stat Soc B 57:289; the t-test as in
    ``rsatoolbox.util.inference_util.t_tests``.
    """
    groups: dict[str, list[Outcome]] = {}
    for entry in entries:
        groups.setdefault(entry.network, []).append(entry.outcome)
    rows, unit = [], resamples.unit
    for (name, ours), (other, theirs) in combinations(groups.items(), 2):
        difference = _mean([o.raw for o in ours]) - _mean([o.raw for o in theirs])
        replicates = np.mean([o.replicates for o in ours], axis=0) - np.mean(
            [o.replicates for o in theirs], axis=0
        )
        parts = [resamples.variance(replicates), _over_seeds(ours), _over_seeds(theirs)]
        variance, dof = sum(part for part, _ in parts), welch_satterthwaite(parts)
        low, high = interval(difference, variance, dof)
        p = p_value(difference, variance, dof)
        better = difference > 0 and p < SIGNIFICANT
        rows.append((name, other, difference, low, high, p, p, p, better, len(ours), len(theirs), unit))
    table = pd.DataFrame(rows, columns=list(DIFFERENCES))
    given = table["p"].to_numpy(dtype=float)
    return table.assign(p_holm=holm(given), p_fdr=benjamini_hochberg(given))


def holm(p: Float[Array, " test"]) -> Float[Array, " test"]:
    """Correct p values so that the chance of any false alarm among all tests is held.

    The k-th smallest of m becomes the largest of (m − j + 1)·pⱼ over j ≤ k, at most 1. Valid however the
    tests depend on each other. NaN stays NaN and is not counted.

    References
    ----------
    Holm (1979), Scand J Stat 6:65.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    return _corrected(p, lambda ranked: np.maximum.accumulate(ranked * np.arange(len(ranked), 0, -1)))


def benjamini_hochberg(p: Float[Array, " test"]) -> Float[Array, " test"]:
    """Correct p values so that the expected share of false alarms among what is found is held.

    The k-th smallest of m becomes the smallest of (m/j)·pⱼ over j ≥ k. NaN stays NaN and is not counted.

    References
    ----------
    Benjamini & Hochberg (1995), J R Stat Soc B 57:289.

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.04, 0.04]
    """

    def step_up(ranked: Array) -> Array:
        scaled = ranked * len(ranked) / np.arange(1, len(ranked) + 1)
        return np.minimum.accumulate(scaled[::-1])[::-1]

    return _corrected(p, step_up)


def _corrected(p: Array, of_ranked: Callable[[Array], Array]) -> Array:
    """Apply a correction to the finite p values in ascending order."""
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(of_ranked(p[order]), 1.0)
    return corrected


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _over_seeds(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Variance of the mean over seeds, and its degrees of freedom; zero for a single seed."""
    n = len(outcomes)
    if n < 2:
        return 0.0, 1.0
    return float(np.var([outcome.raw for outcome in outcomes], ddof=1) / n), n - 1.0
