"""Commit a region to one layer on other stimuli than it is scored on."""

from collections.abc import Sequence

import numpy as np

from brainalign.compare.comparison import Outcome, mean_over_splits

COMMITTED = "committed"
"""What the column ``layer`` says of a score whose layer was chosen on other stimuli."""


def commit(outcomes: Sequence[Outcome], layers: Sequence[str]) -> tuple[Outcome, str]:
    """Score the layer that does best on other stimuli, split by split, inside each bootstrap sample.

    A maximum over layers on the stimuli that are scored would favour networks with many layers. Here,
    in each split, the layer is chosen on one part of the stimuli and scored on another; the choice
    is made anew in each bootstrap sample, so that its uncertainty is in the interval.

    Returns
    -------
    tuple
        The committed outcome, and how often each layer was chosen, in words.
    """
    choosing = np.stack([outcome.choosing for outcome in outcomes])
    scoring = np.stack([outcome.scoring for outcome in outcomes])
    best = np.argmax(np.where(np.isfinite(choosing), choosing, -np.inf), axis=0)
    scored = np.take_along_axis(scoring, best[None], axis=0)[0]
    values = mean_over_splits(scored)
    chosen, counts = np.unique(best[:, 0], return_counts=True)
    times = sorted(zip(counts.tolist(), (layers[place] for place in chosen), strict=True), reverse=True)
    words = ", ".join(f"{layer} ({count} of {len(best)})" for count, layer in times)
    n_kinds = outcomes[0].replicates.shape[0]
    committed = Outcome(
        raw=float(values[0]),
        spread=float(np.nanstd(scored[:, 0])) if np.isfinite(scored[:, 0]).any() else float("nan"),
        replicates=values[1:].reshape(n_kinds, -1),
        choosing=choosing.max(axis=0),
        scoring=scored,
    )
    return committed, words
