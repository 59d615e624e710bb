r"""Linear predictivity over time: the brain's units from the model's, some milliseconds earlier or later."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from brainalign.errors import ResponsesError
from brainalign.metrics.metric import Metric
from brainalign.metrics.paired_trajectories import (
    check_pair,
    column_correlations,
    condition_folds,
    rows,
    split_and_centre,
)
from brainalign.metrics.ridge import spectrum
from brainalign.metrics.trajectories import time_step
from brainalign.names import snake_case, unknown_name

Array = np.ndarray


def ridge_predictions(
    train_x: Float[Array, "train p"],
    train_y: Float[Array, "train q"],
    test_x: Float[Array, "test p"],
    alphas: Float[Array, " alpha"],
) -> Float[Array, "alpha test q"]:
    r"""Predict by ridge regression at several penalties.

    .. math:: X_* (X^T X + \alpha)^{-1} X^T Y = X_* X^T (X X^T + \alpha)^{-1} Y,

    by the eigenvectors of the smaller of the two matrices.

    Examples
    --------
    >>> x = np.array([[1.0], [-1.0]])
    >>> ridge_predictions(x, 4 * x, x[:1], np.array([0.0, 2.0]))[:, 0, 0]
    array([4., 2.])
    """
    tall = len(train_x) > train_x.shape[1]
    eigenvalues, axes = spectrum(train_x.T @ train_x if tall else train_x @ train_x.T)
    along = (test_x if tall else test_x @ train_x.T) @ axes
    return (
        along
        / (eigenvalues + alphas[:, None])[:, None, :]
        @ (axes.T @ (train_x.T @ train_y if tall else train_y))
    )


def column_r2(predicted: Float[Array, "row unit"], y: Float[Array, "row unit"]) -> Float[Array, " unit"]:
    r"""Predicted share of each column's variance: :math:`1 - \sum(y - \hat y)^2 / \sum(y - \bar y)^2`."""
    total = np.sum((y - y.mean(axis=0)) ** 2, axis=0)
    missed = np.sum((y - predicted) ** 2, axis=0)
    return 1 - np.divide(missed, total, out=np.full_like(total, np.nan), where=total > 0)


SCORES = {"correlation": column_correlations, "r2": column_r2}
"""How a unit's prediction is held against its response, over the conditions and times of a fold."""


@dataclass(frozen=True)
class LaggedRidgeKernel:
    r"""Ridge regression of the brain at t on the model at t − lag, on held-out conditions.

    .. math:: y_u(c, t) \approx \sum_i w_{ui}\, x_i(c, t - \ell), \qquad
        -\mathrm{max\_lead} \le \ell \le \mathrm{max\_lag}.

    The same times of the brain are predicted at every lag: those for which the model's time exists at all of
    them. In each fold, the training conditions are divided again: the penalty that leaves a unit the least
    squared error there is the unit's, and the lag with the highest median score there is the fold's.

    Parameters
    ----------
    max_lag
        How far the model may be ahead of the brain, in ms.
    max_lead
        How far the brain may be ahead of the model, in ms.
    lag_step
        Between lags, in ms; rounded to bins, and at least one.
    n_folds
        Test sets that the conditions are divided into, and the training conditions again.
    n_alphas
        Penalties to choose from: from 10⁻⁵ to 10⁵ times the mean squared length of the training patterns.
    score
        A name in `SCORES`.
    keep_invariant
        Whether the mean over conditions at each time stays in.
    """

    max_lag: float = 100.0
    max_lead: float = 100.0
    lag_step: float = 20.0
    n_folds: int = 5
    n_alphas: int = 11
    score: str = "correlation"
    keep_invariant: bool = False

    def compare(self, model: Array, brain: Array, times: Array, rng: np.random.Generator) -> float:
        """Give the median over units at the lag that training conditions choose; mean over folds.

        Parameters
        ----------
        model, brain
            Shape (condition, time, unit), in any units; row i of both is the same condition.
        times
            In seconds, evenly spaced.
        rng
            Divides the conditions into folds.

        Returns
        -------
        :
            At most 1. Units that do not vary in a fold are left out of its median; NaN if none does.

        Raises
        ------
        ResponsesError
            Sides that do not fit (`check_pair`), uneven times, or lags that leave fewer than two times.
        """
        _, inside, held_out = self._scores(model, brain, times, rng)
        chosen = np.argmax(np.nan_to_num(inside, nan=-np.inf), axis=1)
        return float(np.mean(held_out[np.arange(len(chosen)), chosen]))

    def profile(
        self, model: Array, brain: Array, times: Array, rng: np.random.Generator
    ) -> tuple[Float[Array, " lag"], Float[Array, " lag"]]:
        """Give the lags in ms (positive: the model is ahead), and the held-out score at each.

        The highest of them is chosen on what it is scored on: `compare` gives the value that is not.
        """
        lags, _, held_out = self._scores(model, brain, times, rng)
        return lags, held_out.mean(axis=0)

    def _scores(
        self, model: Array, brain: Array, times: Array, rng: np.random.Generator
    ) -> tuple[Float[Array, " lag"], Float[Array, "fold lag"], Float[Array, "fold lag"]]:
        model, brain = check_pair("ridge_lagged", model, brain, times)
        width = 1000 * time_step(times)
        lags = self._lags_in_bins(width, len(times))
        outer = condition_folds(len(model), self.n_folds, rng)
        inner = [condition_folds(len(model) - len(test), self.n_folds, rng) for test in outer]
        inside, held_out = np.empty((2, len(outer), len(lags)))
        for column, (x, y) in enumerate(_shifted(model, brain, lags)):
            for fold, test in enumerate(outer):
                inside[fold, column], held_out[fold, column] = self._fold(x, y, test, inner[fold])
        return lags * width, inside, held_out

    def _lags_in_bins(self, width: float, n_times: int) -> Int[Array, " lag"]:
        step = max(1, round(self.lag_step / width))
        # A whole number of bins in ms misses itself by rounding.
        lead, lag = (int(limit / width + 1e-6) // step for limit in (self.max_lead, self.max_lag))
        lags = np.arange(-lead, lag + 1) * step
        if n_times - (lags[-1] - lags[0]) < 2:
            raise ResponsesError(
                f"ridge_lagged was asked for lags from {lags[0] * width:g} to {lags[-1] * width:g} ms in "
                f"trajectories of {n_times * width:g} ms, which leave fewer than two times that all lags can "
                "predict; lower max_lag or max_lead."
            )
        return lags

    def _fold(self, x: Array, y: Array, test: Int[Array, " test"], inner: list[Array]) -> tuple[float, float]:
        (train_x, test_x), (train_y, test_y) = (
            split_and_centre(side, test, self.keep_invariant) for side in (x, y)
        )
        alphas = np.logspace(-5, 5, self.n_alphas) * max(np.mean(np.sum(train_x**2, axis=2)), 1e-300)
        errors, predictions = np.zeros((len(alphas), y.shape[2])), []
        for part in inner:
            (fit_x, left_x), (fit_y, left_y) = (
                split_and_centre(side, part, self.keep_invariant) for side in (train_x, train_y)
            )
            predicted = ridge_predictions(rows(fit_x), rows(fit_y), rows(left_x), alphas)
            errors += np.sum((predicted - rows(left_y)) ** 2, axis=1)
            predictions.append((predicted, rows(left_y)))
        chosen, unit = np.argmin(errors, axis=0), np.arange(y.shape[2])
        score = SCORES[self.score]
        inside = np.mean([score(each[chosen, :, unit].T, left_y) for each, left_y in predictions], axis=0)
        predicted = ridge_predictions(rows(train_x), rows(train_y), rows(test_x), alphas)
        return _median(inside), _median(score(predicted[chosen, :, unit].T, rows(test_y)))


def ridge_lagged(
    max_lag: float = 100.0,
    max_lead: float = 100.0,
    lag_step: float = 20.0,
    n_folds: int = 5,
    n_alphas: int = 11,
    score: str = "correlation",
    keep_invariant: bool = False,
) -> Metric:
    """Linear predictivity over time by ridge regression, at the lag that training conditions choose.

    Raises
    ------
    UnknownNameError
        An unknown score.
    """
    score = snake_case(score)
    if score not in SCORES:
        raise unknown_name("score of ridge_lagged", score, SCORES)
    kernel = LaggedRidgeKernel(max_lag, max_lead, lag_step, n_folds, n_alphas, score, keep_invariant)
    correlation = score == "correlation"
    return Metric(
        name="ridge_lagged",
        family="trajectory",
        kernel=kernel,
        needs=frozenset({"features", "responses", "time"}),
        range=(-1.0 if correlation else -np.inf, 1.0),
        symmetric=False,
        invariances=frozenset({"rotation", "scaling", "translation"}),
        chance=0.0,
        label=f"{'Pearson r' if correlation else 'R²'}, ridge at a lag, median over units, held-out conditions",
        citation="Hoerl & Kennard 1970",
        options=dict(vars(kernel)),
    )


def _shifted(model: Array, brain: Array, lags: Int[Array, " lag"]) -> Iterator[tuple[Array, Array]]:
    start, stop = max(lags[-1], 0), model.shape[1] + min(lags[0], 0)
    for lag in lags:
        yield model[:, start - lag : stop - lag], brain[:, start:stop]


def _median(values: Float[Array, " unit"]) -> float:
    return float(np.nanmedian(values)) if not np.isnan(values).all() else float("nan")
