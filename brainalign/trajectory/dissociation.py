"""Whether brain-likeness and performance part over learning."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from brainalign.errors import BrainalignError
from brainalign.trajectory.curves import Curve
from brainalign.trajectory.order import rise_times
from brainalign.trajectory.seed_tests import over_seeds, with_verdicts

EARLY, LATE = 0.1, 0.9


def dissociation(performance: Curve, brain: Curve) -> pd.DataFrame:
    """Ask in four ways whether a brain score moves without performance, over the seeds of one rule.

    - ``lead``: the step by which the brain score has done half of its change, over that of performance; 1 if
      they move together.
    - ``early change``: change of the brain score until performance has done a tenth of its own.
    - ``late change``: change of the brain score after performance has done nine tenths of its own.
    - ``loss after best``: brain score at the end less that at its best checkpoint, which is chosen on the mean
      of the other seeds so that no seed's noise is taken for a peak.

    Parameters
    ----------
    performance
        Such as accuracy, of the same runs.
    brain
        A brain score over training.

    Returns
    -------
    DataFrame
        A row a question: ``estimate``, ``low``, ``high`` (95 % t-interval over seeds), ``p``, ``p_holm``,
        ``n_seeds``, and ``verdict``: dissociated, tie, or not testable. Changes are in units of the score. An
        early or a late change says that the score moves while performance hardly does, not that one does not
        depend on the other.

    Raises
    ------
    BrainalignError
        Where the curves are of different networks, tasks or rules, or share no checkpoints or seeds.
    """
    performed, scored, steps = _matched(performance, brain)
    begin, end = (_read(scored, steps, rise_times(performed, steps, share)) for share in (EARLY, LATE))
    lead = np.log1p(rise_times(scored, steps)) - np.log1p(rise_times(performed, steps))
    values = {
        "lead": lead,
        "early change": begin - scored[:, 0],
        "late change": scored[:, -1] - end,
        "loss after best": _after_best(scored),
    }
    rows = []
    for question, each in values.items():
        found = over_seeds(each)
        if question == "lead":
            found |= {name: np.exp(found[name]) for name in ("estimate", "low", "high")}
        rows.append({"question": question, **found})
    return with_verdicts(rows, ["dissociated"] * len(rows))


def _matched(performance: Curve, brain: Curve) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give both at the seeds and checkpoints that they share."""
    for label in ("network", "task", "rule"):
        one, other = performance.labels[label], brain.labels[label]
        if one and other and one != other:
            raise BrainalignError(
                f"Performance is of the {label} {one}, the brain score of {other}; they must be of the same "
                "runs."
            )
    seeds = [seed for seed in performance.seeds if seed in brain.seeds]
    steps = np.intersect1d(performance.steps, brain.steps)
    if not seeds or len(steps) < 2:
        raise BrainalignError(
            f"Performance and brain score share {len(seeds)} seeds and {len(steps)} checkpoints; they must be "
            "of the same runs."
        )
    both = [
        curve.values[[curve.seeds.index(seed) for seed in seeds]][:, np.isin(curve.steps, steps)]
        for curve in (performance, brain)
    ]
    return both[0], both[1], steps


def _read(
    curves: Float[np.ndarray, "seed checkpoint"],
    steps: Float[np.ndarray, " checkpoint"],
    at: Float[np.ndarray, " seed"],
) -> Float[np.ndarray, " seed"]:
    """Read each curve at a step of its own, between checkpoints in log steps."""
    return np.array(
        [np.interp(np.log1p(step), np.log1p(steps), curve) for curve, step in zip(curves, at, strict=True)]
    )


def _after_best(curves: Float[np.ndarray, "seed checkpoint"]) -> Float[np.ndarray, " seed"]:
    if len(curves) < 2:
        return np.full(len(curves), np.nan)
    others = (curves.sum(0) - curves) / (len(curves) - 1)
    best = others.argmax(1)
    return curves[:, -1] - curves[np.arange(len(curves)), best]
