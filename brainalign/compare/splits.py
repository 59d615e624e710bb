"""Splits of stimuli: train and test for predictions, halves for committing to a layer."""

from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

Split = tuple[np.ndarray, np.ndarray]

N_SPLITS = 10
HELD_OUT = 0.1
SMALLEST_TEST = 5
"""A correlation over fewer stimuli says nothing."""


def train_test_splits(n_stimuli: int, strata: Sequence[str] | None = None) -> list[Split]:
    """Ten random splits of 90 % training and 10 % test stimuli, Brain-Score's.

    `StratifiedShuffleSplit` where strata are given, else `ShuffleSplit`, both with ``random_state=1``;
    rows are taken to be sorted by stimulus id, so that the order of a recording's rows changes
    nothing. A test set holds five stimuli at least.

    Examples
    --------
    >>> len(train_test_splits(640)[0][1])
    64
    """
    test_size = max(int(np.ceil(HELD_OUT * n_stimuli)), SMALLEST_TEST)
    if strata is None:
        splitter = ShuffleSplit(N_SPLITS, test_size=test_size, random_state=1)
        return list(splitter.split(np.empty(n_stimuli)))
    splitter = StratifiedShuffleSplit(N_SPLITS, test_size=test_size, random_state=1)
    return list(splitter.split(np.empty(n_stimuli), np.asarray(strata)))


def commitment_split(train: np.ndarray, generator: np.random.Generator) -> Split:
    """Part training stimuli into two thirds to fit on and one third to choose a layer by."""
    order = generator.permutation(train)
    n_fit = round(2 * len(train) / 3)
    return np.sort(order[:n_fit]), np.sort(order[n_fit:])


def halves(n_stimuli: int, n_halvings: int, generator: np.random.Generator) -> list[Split]:
    """Disjoint random halves of the stimuli, `n_halvings` times over."""
    found = []
    for _ in range(n_halvings):
        order = generator.permutation(n_stimuli)
        found.append((np.sort(order[: n_stimuli // 2]), np.sort(order[n_stimuli // 2 :])))
    return found
