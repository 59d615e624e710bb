"""Splits of stimuli: train and test for predictions, halves for committing to a layer."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

from brainalign.errors import ResponsesError

Split = tuple[np.ndarray, np.ndarray]

N_SPLITS = 10
HELD_OUT = 0.1
SMALLEST_TEST = 5
"""A correlation over fewer stimuli says nothing."""

FEWEST = 4
"""Stimuli that must be left to fit or to compare."""


def train_test_splits(
    n_stimuli: int,
    strata: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    n_splits: int = N_SPLITS,
) -> list[Split]:
    """Ten random splits of 90 % training and 10 % test stimuli, Brain-Score's, or the first few of them.

    `StratifiedShuffleSplit` where strata are given, else `ShuffleSplit`, both with ``random_state=1``;
    rows are taken to be sorted by stimulus id, so that the order of a recording's rows changes
    nothing. A test set holds five stimuli at least, and as many as there are strata.

    Parameters
    ----------
    n_stimuli
        Number of rows.
    strata
        What the shares of are kept in training and test set, such as the object shown.
    groups
        Which rows show the same: a training stimulus of a test stimulus's group is left out.
    n_splits
        How many.

    Raises
    ------
    ResponsesError
        A stratum of one stimulus, or hardly any training stimulus left.

    Examples
    --------
    >>> len(train_test_splits(640)[0][1])
    64
    """
    n_test = max(int(np.ceil(HELD_OUT * n_stimuli)), SMALLEST_TEST)
    if strata is None:
        splits = ShuffleSplit(n_splits, test_size=n_test, random_state=1).split(np.empty(n_stimuli))
    else:
        names, counts = np.unique(strata, return_counts=True)
        if counts.min() < 2:
            raise ResponsesError(
                f"Stratum {str(names[counts.argmin()])!r} holds a single stimulus, which cannot be both in "
                "training and in test sets; join it to another stratum, or leave the column 'stratum' out."
            )
        stratified = StratifiedShuffleSplit(n_splits, test_size=max(n_test, len(names)), random_state=1)
        splits = stratified.split(np.empty(n_stimuli), strata)
    return [(_enough(_apart(train, test, groups)), test) for train, test in splits]


def commitment_split(
    train: np.ndarray, generator: np.random.Generator, groups: np.ndarray | None = None
) -> Split:
    """Part training stimuli into two thirds to fit on and one third to choose a layer by.

    Stimuli of one group that would come to lie on both sides are left out of the second.
    """
    order = _shuffled(train, generator, groups)
    n_fit = round(2 * len(train) / 3)
    return np.sort(order[:n_fit]), np.sort(_apart(order[n_fit:], order[:n_fit], groups))


def halves(
    n_stimuli: int, n_halvings: int, generator: np.random.Generator, groups: np.ndarray | None = None
) -> list[Split]:
    """Disjoint random halves of the stimuli, `n_halvings` times over; groups as in `commitment_split`."""
    found = []
    for _ in range(n_halvings):
        order = _shuffled(np.arange(n_stimuli), generator, groups)
        first, second = order[: n_stimuli // 2], order[n_stimuli // 2 :]
        found.append((np.sort(first), np.sort(_enough(_apart(second, first, groups)))))
    return found


def stimulus_folds(
    n_stimuli: int, generator: np.random.Generator, groups: np.ndarray | None = None
) -> list[Split]:
    """Part stimuli at random into folds of nearly one size: training and test rows for each.

    Two folds for fewer than 12 stimuli, three for fewer than 24, four for fewer than 40, else five. Stimuli
    of one group stay together, and count once.

    Raises
    ------
    ResponsesError
        Groups so few or so large that a fold, or what is left beside it, holds fewer than four stimuli.

    Examples
    --------
    >>> [len(test) for _, test in stimulus_folds(92, np.random.default_rng(0))]
    [19, 19, 18, 18, 18]
    """
    _, group = np.unique(np.arange(n_stimuli) if groups is None else groups, return_inverse=True)
    n_groups = int(group.max()) + 1
    n_folds = 2 + sum(n_groups >= enough for enough in (12, 24, 40))
    fold = generator.permutation(np.arange(n_groups) % n_folds)[group]
    folds = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n_folds)]
    smallest = min(len(part) for split in folds for part in split)
    if smallest < FEWEST:
        raise ResponsesError(
            f"{n_stimuli} stimuli that show {n_groups} images leave a fold of {smallest}; weights are fitted "
            f"and judged on {FEWEST} stimuli at least. Give images that differ different names in the "
            "column 'image' of the metadata, or use rsa."
        )
    return folds


def labels(metadata: pd.DataFrame | None, column: str, stimuli: Sequence[str]) -> np.ndarray | None:
    """Give what a column of the stimuli's metadata, where there is one, says of each stimulus.

    A stimulus of which it says nothing (NaN) is labelled by its id, so alone.

    Examples
    --------
    >>> metadata = pd.DataFrame({"image": ["a", "a", None]}, index=["a", "b", "c"])
    >>> labels(metadata, "image", ["c", "b"]).tolist()
    ['c', 'a']
    """
    if metadata is None or column not in metadata:
        return None
    of_stimuli = metadata[column].loc[list(stimuli)].astype(object)
    return of_stimuli.where(of_stimuli.notna(), of_stimuli.index).to_numpy().astype(str)


def _shuffled(rows: np.ndarray, generator: np.random.Generator, groups: np.ndarray | None) -> np.ndarray:
    """Shuffle rows, those that show the same beside each other."""
    _, group = np.unique(rows if groups is None else groups[rows], return_inverse=True)
    return rows[np.argsort(generator.permutation(group.max() + 1)[group], kind="stable")]


def _apart(rows: np.ndarray, others: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Leave out the rows that show the same as one of the others."""
    if groups is None:
        return rows
    return rows[~np.isin(groups[rows], groups[others])]


def _enough(rows: np.ndarray) -> np.ndarray:
    if len(rows) < FEWEST:
        raise ResponsesError(
            f"Only {len(rows)} stimuli are left once those are left out that show the same image as a stimulus "
            "they must be kept apart from. The column 'image' of the metadata names for each stimulus "
            "the image that it shows; give images that differ different names, or leave the column out."
        )
    return rows
