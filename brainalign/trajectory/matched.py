"""Brain scores of rules compared where the rules are alike: after as many steps, or at the same performance."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float

from brainalign.errors import BrainalignError
from brainalign.trajectory.curves import Curve
from brainalign.trajectory.seed_tests import over_seeds, with_verdicts

Array = np.ndarray


def at_step(brain: Curve, step: float) -> Float[Array, " seed"]:
    """Give each seed's value at a checkpoint.

    Raises
    ------
    BrainalignError
        No checkpoint at that step.
    """
    found = np.flatnonzero(brain.steps == step)
    if not len(found):
        there = ", ".join(f"{each:g}" for each in brain.steps)
        raise BrainalignError(f"{brain.name} has no checkpoint at step {step:g}; there are: {there}.")
    return brain.values[:, found[0]]


def at_performance(performance: Curve, brain: Curve, level: float) -> Float[Array, " seed"]:
    r"""Give each seed's brain score when its performance first reaches a level.

    Between checkpoints both go in straight lines: with :math:`a_k < \ell \le a_{k+1}` the first step up to the
    level, :math:`s = b_k + \frac{\ell - a_k}{a_{k+1} - a_k} (b_{k+1} - b_k)`. NaN for a seed that is above it
    before it learns anything, or that never reaches it.

    Parameters
    ----------
    performance, brain
        Curves of the same runs, over the same seeds and checkpoints.
    level
        In the units of the performance.

    Raises
    ------
    BrainalignError
        Curves over other seeds or checkpoints.

    Examples
    --------
    >>> def curve(*values):
    ...     return Curve({}, np.array([values]), np.arange(3.0), (0,))
    >>> at_performance(curve(0.1, 0.3, 0.5), curve(1.0, 2.0, 4.0), 0.4).tolist()
    [3.0]
    """
    if performance.seeds != brain.seeds or not np.array_equal(performance.steps, brain.steps):
        raise BrainalignError(
            f"Performance has seeds {performance.seeds} and {len(performance.steps)} checkpoints, the brain "
            f"score {brain.seeds} and {len(brain.steps)}; give curves of the same runs."
        )
    values = np.full(len(brain.seeds), np.nan)
    for seed, (reached, score) in enumerate(zip(performance.values, brain.values, strict=True)):
        above = np.flatnonzero(reached >= level)
        if len(above) and above[0] > 0:
            before, after = above[0] - 1, above[0]
            share = (level - reached[before]) / (reached[after] - reached[before])
            values[seed] = score[before] + share * (score[after] - score[before])
    return values


def compared_at_steps(brain: Mapping[str, Curve], steps: Sequence[float | int]) -> pd.DataFrame:
    """Compare rules in pairs after the same numbers of steps; see `compared_at_performance`."""
    return _compared(brain, "step", steps, lambda rule, step: at_step(brain[rule], step))


def compared_at_performance(
    performance: Mapping[str, Curve], brain: Mapping[str, Curve], levels: Sequence[float | int]
) -> pd.DataFrame:
    """Compare rules in pairs where they have come to the same performance.

    Parameters
    ----------
    performance, brain
        A curve for each rule, of one brain score at one layer.
    levels
        Of the performance.

    Returns
    -------
    pandas.DataFrame
        A row a pair and level: the mean over seeds of each (``first_mean``, ``second_mean``), of their paired
        difference (``estimate``) with its 95 % t-interval, ``p``, ``p_holm`` over all pairs of a level, and the
        ``verdict``: the better rule, a tie, or not testable, as where fewer than five seeds of one reach it.
    """
    return _compared(
        brain, "level", levels, lambda rule, level: at_performance(performance[rule], brain[rule], level)
    )


def _compared(
    brain: Mapping[str, Curve], by: str, places: Sequence[float | int], value: Callable[[str, float], Array]
) -> pd.DataFrame:
    tables = []
    for place in map(float, places):
        values = {rule: dict(zip(brain[rule].seeds, value(rule, place), strict=True)) for rule in brain}
        rows, better = [], []
        for first, second in combinations(brain, 2):
            seeds = sorted(set(values[first]) & set(values[second]))
            ours, theirs = (np.array([values[rule][seed] for seed in seeds]) for rule in (first, second))
            both = np.isfinite(ours) & np.isfinite(theirs)
            means = [float(each[both].mean()) if both.any() else np.nan for each in (ours, theirs)]
            row = {by: place, "first": first, "second": second, "first_mean": means[0], "second_mean": means[1]}
            rows.append(row | over_seeds(ours - theirs))
            better.append(f"{first if means[0] > means[1] else second} higher")
        tables.append(with_verdicts(rows, better))
    return pd.concat(tables, ignore_index=True)
