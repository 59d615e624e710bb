"""Commit a region to one layer on other stimuli than it is scored on."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from brainalign.compare.comparison import Outcome, mean_over_splits
from brainalign.compare.resampling import Resamples

COMMITTED = "committed"
"""What the column ``layer`` says of a score whose layer was chosen on other stimuli."""


def commit(outcomes: Sequence[Outcome], layers: Sequence[str], resamples: Resamples) -> Outcome:
    """Score the layer that does best on other stimuli, split by split, inside each bootstrap sample.

    A maximum over layers on the stimuli that are scored would favour networks with many layers. Here,
    in each split, the layer is chosen on one part of the stimuli and scored on another; the choice
    is made anew in each bootstrap sample, so that its uncertainty is in the interval. A split in which
    no layer's value is defined on the first part is left out.

    Returns
    -------
    Outcome
        Its note says how often each layer was chosen.
    """
    places = [place for place, outcome in enumerate(outcomes) if np.isfinite(outcome.raw)]
    if not places:
        return Outcome.undefined(resamples, "no layer can be compared")
    choosing = np.stack([outcomes[place].choosing for place in places])
    scoring = np.stack([outcomes[place].scoring for place in places])
    best = np.argmax(np.where(np.isfinite(choosing), choosing, -np.inf), axis=0)
    # One layer alone needs no choice.
    decided = np.isfinite(choosing).sum(axis=0) >= (len(places) > 1)
    scored = np.where(decided, np.take_along_axis(scoring, best[None], axis=0)[0], np.nan)
    values = mean_over_splits(scored)
    defined = scored[np.isfinite(scored[:, 0]), 0]
    names = [layers[place] for place in places]
    chosen = [names[k] for k in best[decided[:, 0], 0].tolist()]
    return Outcome(
        raw=float(values[0]),
        spread=float(np.std(defined)) if len(defined) else float("nan"),
        replicates=values[1:].reshape(resamples.n_kinds, -1),
        choosing=choosing.max(axis=0),
        scoring=scored,
        note=_in_words(chosen, len(best)),
    )


def _in_words(chosen: Sequence[str], n_splits: int) -> str:
    if not chosen:
        return "too few stimuli to choose a layer on some and score it on others"
    times = sorted(((count, layer) for layer, count in Counter(chosen).items()), reverse=True)
    shares = ", ".join(f"{layer} ({count} of {n_splits})" for count, layer in times)
    return f"layer chosen on other stimuli: {shares}"
