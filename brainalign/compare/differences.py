"""Paired differences between networks, each at the layer committed on other stimuli."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from brainalign.compare.comparison import Outcome
from brainalign.compare.resampling import Resamples, interval

DIFFERENCES = (
    "network",
    "other",
    "difference",
    "low",
    "high",
    "better",
    "seeds",
    "other_seeds",
    "resampled",
)


@dataclass(frozen=True)
class Entry:
    """One network's committed outcome; networks of one name and several seeds belong together."""

    network: str
    seed: int
    outcome: Outcome


def paired_differences(entries: Sequence[Entry], resamples: Resamples) -> pd.DataFrame:
    """Differences of all pairs of networks in one region by one metric.

    Both networks see the same bootstrap samples, so what is hard about a stimulus cancels. A network
    with several seeds enters as their mean, and the variance of that mean over seeds (s²/seeds) is
    added, with Welch–Satterthwaite degrees of freedom.

    Returns
    -------
    pandas.DataFrame
        With the columns `DIFFERENCES`; `better` is true where the 95 % interval lies above 0.
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
        variance, dof = _combine([resamples.variance(replicates), _over_seeds(ours), _over_seeds(theirs)])
        low, high = interval(difference, variance, dof)
        rows.append((name, other, difference, low, high, low > 0, len(ours), len(theirs), unit))
    return pd.DataFrame(rows, columns=list(DIFFERENCES))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _over_seeds(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Variance of the mean over seeds, and its degrees of freedom; zero for a single seed."""
    n = len(outcomes)
    if n < 2:
        return 0.0, 1.0
    return float(np.var([outcome.raw for outcome in outcomes], ddof=1) / n), n - 1.0


def _combine(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Sum of independent variances, with Welch–Satterthwaite degrees of freedom."""
    total = sum(variance for variance, _ in parts)
    weight = sum(variance**2 / dof for variance, dof in parts)
    return total, (total**2 / weight if weight > 0 else parts[0][1])
