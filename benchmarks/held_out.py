"""Regressions from features to units, by Brain-Score's ten splits: what the scripts on predictivity share."""

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.simulated import ids
from brainalign import Representation
from brainalign.compare.predictivity import centred_blocks
from brainalign.compare.splits import Split, train_test_splits

Kernel = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def predictions(
    features: np.ndarray, responses: np.ndarray, kernel: Kernel
) -> Iterator[tuple[Split, np.ndarray]]:
    """Predict the held-out responses of each split, from one Gram matrix for all."""
    gram = Representation.from_features(features, ids(len(features))).gram
    for train, test in train_test_splits(len(features)):
        yield (train, test), kernel(*centred_blocks(gram, train, test), responses[train])


def median_correlation(predicted: np.ndarray, observed: np.ndarray) -> float:
    """Median over units of Pearson's r between prediction and response."""
    x, y = predicted - predicted.mean(axis=0), observed - observed.mean(axis=0)
    r = (x * y).sum(axis=0) / np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return float(np.median(r))


def in_deviations(predicted: np.ndarray, other: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Difference of predictions, in standard deviations of each unit's responses."""
    return (predicted - other) / responses.std(axis=0)
