"""Ridge regression whose penalty each unit chooses by leave-one-out, by Brain-Score's ten splits."""

from collections.abc import Callable

import numpy as np
from himalaya.kernel_ridge import KernelRidgeCV
from sklearn.linear_model import RidgeCV

from benchmarks.held_out import in_deviations, predictions
from benchmarks.rows import DisagreementError, Row, require_equal, times_faster
from benchmarks.simulated import features_and_responses
from benchmarks.timing import measured, timed
from brainalign.compare.splits import N_SPLITS, train_test_splits
from brainalign.metrics.ridge import leave_one_out_errors, ridge_fixed, ridge_leave_one_out, spectrum

ALPHAS = np.logspace(-2, 7, 99)


def measure(small: bool) -> list[Row]:
    """Time ten splits of ours, and one each of scikit-learn's and himalaya's."""
    n, p, q = (80, 300, 6) if small else (2560, 9216, 168)
    ours = measured(alone, n, p, q)
    chosen, first = ours.result
    features, responses = features_and_responses(n, p, q)
    train, test = train_test_splits(n)[0]
    x, y = features[train], responses[train]
    exact = timed(lambda: RidgeCV(ALPHAS, alpha_per_target=True).fit(x, y))
    folds = timed(lambda: KernelRidgeCV(ALPHAS, fit_intercept=True, cv=5).fit(x, y.astype(np.float32)))
    _require_same_fits(exact.result, folds.result, chosen, first, features, responses)
    claim = f"ridge, ten splits, {len(ALPHAS)} alphas by leave-one-out, {n} × {p} → {q}, Gram matrix included"
    share = f"(one split timed, × {N_SPLITS})"
    return [
        times_faster(
            f"ridge_{name}",
            f"{claim}: against {peer} {share}",
            ours.seconds,
            run.seconds * N_SPLITS,
            2,
            ours.peak_mb,
        )
        for name, peer, run in (
            ("sklearn", "scikit-learn RidgeCV(alpha_per_target=True)", exact),
            ("himalaya", "himalaya KernelRidgeCV(cv=5)", folds),
        )
    ]


def alone(start: Callable[[], None], n: int, p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    """Ours in a process of its own; gives penalties and predictions of the first split."""
    features, responses = features_and_responses(n, p, q)
    penalties = []
    start()

    def kernel(train_gram: np.ndarray, cross_gram: np.ndarray, of_train: np.ndarray) -> np.ndarray:
        predicted, chosen = ridge_leave_one_out(train_gram, cross_gram, of_train, ALPHAS)
        penalties.append(chosen)
        return predicted

    found = [predicted for _, predicted in predictions(features, responses, kernel)]
    return penalties[0], found[0]


def _require_same_fits(
    exact: RidgeCV,
    folds: KernelRidgeCV,
    chosen: np.ndarray,
    predicted: np.ndarray,
    features: np.ndarray,
    responses: np.ndarray,
) -> None:
    """Hold ours to both peers on the first split: in float64 to rounding, as timed to that of float32.

    By RidgeCV's penalties ours leaves as little error as by those it chose, and its predictions are the
    same; himalaya, which chooses by five folds, predicts what ours predicts with himalaya's penalties.
    """
    train, test = train_test_splits(len(features))[0]
    of_train, of_test = responses[train], exact.predict(features[test])
    shifted = features.astype(np.float64) - features[train].mean(axis=0, dtype=np.float64)
    train_gram, cross_gram = shifted[train] @ shifted[train].T, shifted[test] @ shifted[train].T
    errors = leave_one_out_errors(*spectrum(train_gram), of_train - of_train.mean(axis=0), ALPHAS)
    theirs = np.argmin(np.abs(np.log(ALPHAS[:, None]) - np.log(np.asarray(exact.alpha_))), axis=0)
    units = np.arange(responses.shape[1])
    require_equal("ridge, error by RidgeCV's penalties", errors[theirs, units] / errors.min(axis=0), 1.0, 1e-8)
    in_float64, own = ridge_leave_one_out(train_gram, cross_gram, of_train, ALPHAS)
    for what, penalties, ours, tolerance in (
        ("ridge, predictions in float64", own, in_float64, 1e-6),
        ("ridge, predictions as timed", chosen, predicted, 1e-3),
    ):
        same = penalties == exact.alpha_
        if not same.mean() >= 0.9:
            raise DisagreementError(f"{what}: only {same.sum()} of {len(same)} units choose RidgeCV's penalty.")
        require_equal(what, in_deviations(ours, of_test, of_train)[:, same], 0.0, tolerance)
    with_theirs = np.empty_like(in_float64)
    for alpha in np.unique(folds.best_alphas_):
        those = folds.best_alphas_ == alpha
        with_theirs[:, those] = ridge_fixed(float(alpha)).kernel(train_gram, cross_gram, of_train[:, those])
    of_folds = np.asarray(folds.predict(features[test]))
    require_equal("ridge, himalaya's", in_deviations(with_theirs, of_folds, of_train), 0.0, 1e-2)
