"""Partial least squares with 25 components, by Brain-Score's ten splits."""

from collections.abc import Callable

import numpy as np
from sklearn.cross_decomposition import PLSRegression

from benchmarks.held_out import median_correlation, predictions
from benchmarks.rows import Row, require_equal, times_faster
from benchmarks.simulated import features_and_responses
from benchmarks.timing import measured, timed
from brainalign.compare.splits import N_SPLITS, train_test_splits
from brainalign.metrics.pls import kernel_pls

N_COMPONENTS = 25


def measure(small: bool) -> list[Row]:
    """Time ten splits of ours, and one of scikit-learn's."""
    n, p, q = (80, 300, 6) if small else (2560, 50176, 168)
    ours = measured(alone, n, p, q)
    features, responses = features_and_responses(n, p, q)
    train, test = train_test_splits(n)[0]

    def peer() -> np.ndarray:
        fitted = PLSRegression(N_COMPONENTS, scale=False).fit(features[train], responses[train])
        return np.asarray(fitted.predict(features[test]))

    one_split = timed(peer)
    observed = median_correlation(one_split.result, responses[test])
    require_equal("pls, median r of the first split", ours.result, observed, 1e-3)
    return [
        times_faster(
            "pls_sklearn",
            f"PLS-{N_COMPONENTS}, ten splits, {n} × {p} → {q}, Gram matrix included: against scikit-learn "
            f"PLSRegression (one split timed, × {N_SPLITS}); median r within 0.001",
            ours.seconds,
            one_split.seconds * N_SPLITS,
            50,
            ours.peak_mb,
        )
    ]


def alone(start: Callable[[], None], n: int, p: int, q: int) -> float:
    """Ours in a process of its own; gives the median correlation of the first split."""
    features, responses = features_and_responses(n, p, q)
    start()

    def kernel(train_gram: np.ndarray, cross_gram: np.ndarray, of_train: np.ndarray) -> np.ndarray:
        return kernel_pls(train_gram, cross_gram, of_train, N_COMPONENTS)

    found = predictions(features, responses, kernel)
    return [median_correlation(predicted, responses[test]) for (_, test), predicted in found][0]
