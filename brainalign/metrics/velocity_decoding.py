r"""Velocity decoded from spike counts, on trials or blocks of time that the decoder has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from sklearn.metrics import r2_score

from brainalign.errors import ResponsesError
from brainalign.metrics.lagged_predictivity import ridge_predictions
from brainalign.metrics.paired_trajectories import condition_folds

Array = np.ndarray
Counts = Sequence[Array]
"""Stretches of time, each of its own length, of shape (time, unit)."""

Velocities = Sequence[Array]
"""The same stretches, of shape (time, kinematic)."""


@runtime_checkable
class Decoder(Protocol):
    """Fits on stretches of time and predicts others."""

    def decode(
        self, counts: Counts, velocities: Velocities, tests: Counts, rng: np.random.Generator
    ) -> list[Array]:
        """Fit on stretches and predict the velocities at the last times of others, as many as can be."""
        ...


@dataclass(frozen=True)
class RidgeDecoder:
    r"""Ridge regression on the present bin and some before it: :math:`\hat v(t) = b + \sum_k W_k\, y(t - k)`.

    Parameters
    ----------
    n_bins
        Bins that are read, the present one included.
    n_alphas
        Penalties to choose from, for all kinematics together, by folds of the training stretches: from 10⁻⁵ to
        10⁵ times the mean squared length of the training patterns.
    """

    n_bins: int = 5
    n_alphas: int = 11

    def decode(
        self, counts: Counts, velocities: Velocities, tests: Counts, rng: np.random.Generator
    ) -> list[Array]:
        """Fit and predict; the first ``n_bins − 1`` times of each stretch have no prediction."""
        check_lengths([*counts, *tests], self.n_bins)
        x = [lagged_bins(each, self.n_bins) for each in counts]
        y = [each[self.n_bins - 1 :] for each in velocities]
        scale = np.mean(np.sum((np.concatenate(x) - np.concatenate(x).mean(axis=0)) ** 2, axis=1))
        alphas = np.logspace(-5, 5, self.n_alphas) * max(scale, 1e-300)
        errors = np.zeros(len(alphas))
        for test in condition_folds(len(x), 5, rng):
            fit = np.setdiff1d(np.arange(len(x)), test)
            left_x, left_y = (np.concatenate([each[i] for i in test]) for each in (x, y))
            predicted = _centred_ridge([x[i] for i in fit], [y[i] for i in fit], left_x, alphas)
            errors += np.sum((predicted - left_y) ** 2, axis=(1, 2))
        best = alphas[[np.argmin(errors)]]
        late = [lagged_bins(each, self.n_bins) for each in tests]
        predicted = _centred_ridge(x, y, np.concatenate(late), best)[0]
        return np.split(predicted, np.cumsum([len(each) for each in late])[:-1])


def lagged_bins(counts: Float[Array, "time unit"], n_bins: int) -> Float[Array, "late feature"]:
    """Put each bin beside the ones before it, the present first.

    Examples
    --------
    >>> lagged_bins(np.array([[1.0], [2.0], [3.0]]), 2)
    array([[2., 1.],
           [3., 2.]])
    """
    n = len(counts) - n_bins + 1
    return np.hstack([counts[n_bins - 1 - lag :][:n] for lag in range(n_bins)])


def check_lengths(counts: Counts, n_bins: int) -> None:
    """Raise unless every stretch has as many bins as a decoder reads at least."""
    shortest = min(len(each) for each in counts)
    if shortest < n_bins:
        raise ResponsesError(
            f"Stretches of {shortest} bins are too short for a decoder that reads over {n_bins}; give longer "
            "stretches, or let it read fewer bins."
        )


def velocity_decoding(
    decoder: Decoder,
    counts: Sequence[Array],
    velocities: Sequence[Array],
    rng: np.random.Generator,
    n_folds: int = 5,
) -> float:
    r"""R² of decoded velocity in held-out stretches, mean over kinematics and over folds.

    .. math:: 1 - \frac{\sum_t (v_t - \hat v_t)^2}{\sum_t (v_t - \bar v)^2}, over all times of a fold.

    Parameters
    ----------
    decoder
        `RidgeDecoder` or `brainalign.metrics.kalman.KalmanDecoder`.
    counts, velocities
        One array a stretch of time, a trial or a block of a continuous recording: shapes (time, unit) and
        (time, kinematic), in even bins. Neighbouring blocks share slow drifts; make blocks long beside those.
    rng
        Divides the stretches into folds.
    n_folds
        Test sets that the stretches are divided into.

    Returns
    -------
    :
        At most 1; 0 for the held-out mean, below it for worse. NaN if a kinematic does not vary in a fold.

    Raises
    ------
    ResponsesError
        Shapes that do not fit, values that are not finite, or fewer than three stretches.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> velocities = [rng.normal(size=(50, 2)).cumsum(axis=0) for _ in range(6)]
    >>> counts = [v @ np.array([[1.0, 2.0, -1.0], [0.0, 1.0, 3.0]]) for v in velocities]
    >>> round(velocity_decoding(RidgeDecoder(n_bins=1), counts, velocities, rng), 3)
    1.0
    """
    x, y = _checked(counts, velocities)
    values = []
    for test in condition_folds(len(x), n_folds, rng):
        fit = np.setdiff1d(np.arange(len(x)), test)
        predicted = decoder.decode([x[i] for i in fit], [y[i] for i in fit], [x[i] for i in test], rng)
        truth = [y[i][len(y[i]) - len(each) :] for i, each in zip(test, predicted, strict=True)]
        values.append(r2_score(np.concatenate(truth), np.concatenate(predicted), force_finite=False))
    return float(np.mean(values))


def _checked(counts: Sequence[Array], velocities: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    x, y = ([np.asarray(each, dtype=np.float64) for each in side] for side in (counts, velocities))
    if len(x) != len(y) or len(x) < 3:
        raise ResponsesError(
            f"Velocity decoding was given {len(x)} stretches of counts and {len(y)} of velocities; expected "
            "three or more of both, to hold one out and to fit on the others. Divide a continuous recording "
            "into blocks."
        )
    for place, (one, other) in enumerate(zip(x, y, strict=True)):
        if one.ndim != 2 or other.ndim != 2 or len(one) != len(other) or not len(one):
            raise ResponsesError(
                f"Velocity decoding was given counts of shape {one.shape} and velocities of shape "
                f"{other.shape} in stretch {place}; expected (time, unit) and (time, kinematic) with the "
                "same times."
            )
        if not (np.isfinite(one).all() and np.isfinite(other).all()):
            raise ResponsesError(
                f"Velocity decoding was given NaN or infinite values in stretch {place}; leave out these "
                "times or units."
            )
    return x, y


def _centred_ridge(
    x: Counts, y: Velocities, test: Array, alphas: Array
) -> Float[Array, "alpha time kinematic"]:
    train_x, train_y = np.concatenate(x), np.concatenate(y)
    mean_x, mean_y = train_x.mean(axis=0), train_y.mean(axis=0)
    return ridge_predictions(train_x - mean_x, train_y - mean_y, test - mean_x, alphas) + mean_y
