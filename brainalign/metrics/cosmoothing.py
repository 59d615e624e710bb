r"""Co-smoothing: how well rates foretell held-out units' spikes, as the Neural Latents Benchmark scores it."""

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter1d
from scipy.special import gammaln
from sklearn.linear_model import PoissonRegressor, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV

from brainalign.errors import ResponsesError
from brainalign.metrics.paired_trajectories import condition_folds

Array = np.ndarray

LOWEST_RATE = 1e-9
"""What a rate of zero is taken for, as in the benchmark: else a single spike would cost infinitely much."""


def bits_per_spike(rates: Array, spikes: Array) -> float:
    r"""Information that rates hold of spikes beyond each unit's mean rate.

    .. math:: \frac{\mathcal L(\lambda; y) - \mathcal L(\bar y; y)}{n_\mathrm{spikes} \ln 2}, \qquad
        \mathcal L(\lambda; y) = \sum_{itu} y_{itu} \ln \lambda_{itu} - \lambda_{itu} - \ln y_{itu}!

    Parameters
    ----------
    rates
        Shape (trial, time, unit): expected spikes a bin.
    spikes
        Counts, of the same shape; bins that are NaN are left out.

    Returns
    -------
    :
        0 for the units' mean rates in these very trials, below it for worse.

    Raises
    ------
    ResponsesError
        Shapes that differ, rates that are negative or not finite where there are counts, or no spikes.

    References
    ----------
    Pei et al. (2021), NeurIPS Datasets and Benchmarks, eq. 1 and 2.

    Examples
    --------
    >>> spikes = np.array([[[0.0], [2.0]], [[0.0], [2.0]]])
    >>> round(bits_per_spike(spikes, spikes), 6)
    1.0
    """
    rates, spikes = np.asarray(rates, dtype=np.float64), np.asarray(spikes, dtype=np.float64)
    if rates.shape != spikes.shape or spikes.ndim != 3:
        raise ResponsesError(
            f"Bits per spike were asked for from rates of shape {rates.shape} and spikes of shape "
            f"{spikes.shape}; expected (trial, time, unit) for both."
        )
    seen = ~np.isnan(spikes)
    if not np.isfinite(rates[seen]).all() or (rates[seen] < 0).any() or not np.nansum(spikes) > 0:
        raise ResponsesError(
            f"Bits per spike were asked for from {int((~(rates[seen] >= 0)).sum())} rates that are negative "
            f"or NaN and {np.nansum(spikes):g} spikes; expected spikes, and finite rates of 0 or above "
            "(spikes a bin)."
        )
    n_seen = seen.sum(axis=(0, 1))
    mean = np.divide(np.nansum(spikes, axis=(0, 1)), n_seen, out=np.zeros(len(n_seen)), where=n_seen > 0)
    gain = _log_likelihood(rates[seen], spikes[seen]) - _log_likelihood(
        np.broadcast_to(mean, spikes.shape)[seen], spikes[seen]
    )
    return float(gain / (np.nansum(spikes) * np.log(2)))


def cosmoothing(
    counts: Array,
    held_out: Int[Array, " held_out"],
    rng: np.random.Generator,
    smoothing: float = 2.0,
    alpha: float = 0.01,
    n_folds: int = 5,
) -> float:
    """Bits per spike of held-out units, predicted from the others in trials that the fit has not seen.

    Each held-out unit by Poisson regression (log link) on the logarithm of the other units' counts, log(1 +
    y), at the same time: smoothed over time first, and standardised on training trials. In the counts
    themselves the prediction would grow exponentially and a single busy trial outweigh all others. Every
    trial is predicted once, then all are scored together.

    Parameters
    ----------
    counts
        Shape (trial, time, unit).
    held_out
        Places of the units to predict.
    rng
        Divides the trials.
    smoothing
        Standard deviation in bins of the Gaussian that held-in counts are smoothed by; 0 for none.
    alpha
        Penalty on the squared weights, beside the mean deviance of a bin.
    n_folds
        Test sets that the trials are divided into.

    Raises
    ------
    ResponsesError
        Values that are not finite counts, fewer than two trials, places that leave no unit on a side, or a
        held-out unit without spikes in the training trials of a fold.

    References
    ----------
    Pei et al. (2021), NeurIPS Datasets and Benchmarks; Poisson regression: McCullagh & Nelder (1989).
    """
    values = np.asarray(counts, dtype=np.float64)
    if values.ndim != 3 or len(values) < 2 or not (values >= 0).all() or not np.isfinite(values).all():
        raise ResponsesError(
            f"Co-smoothing was given counts of shape {values.shape}; expected finite counts of 0 or above of "
            "shape (trial, time, unit), with two trials or more. Condition averages are no counts."
        )
    held_in = np.setdiff1d(np.arange(values.shape[2]), held_out)
    targets = values[:, :, held_out]
    if not targets.shape[2] or not len(held_in):
        raise ResponsesError(
            f"Co-smoothing was asked to hold out {targets.shape[2]} of {values.shape[2]} units; hold out one "
            "or more, and leave one or more."
        )
    features = values[:, :, held_in]
    if smoothing > 0:
        features = gaussian_filter1d(features, smoothing, axis=1, mode="nearest")
    features = np.log1p(features)
    rates = np.empty_like(targets)
    for test in condition_folds(len(values), n_folds, rng):
        train = np.setdiff1d(np.arange(len(values)), test)
        rates[test] = _poisson_rates(features[train], targets[train], features[test], alpha)
    return bits_per_spike(rates, targets)


def velocity_r2(train_rates: Array, train_velocity: Array, rates: Array, velocity: Array) -> float:
    """R² of velocity by ridge regression on rates, as the benchmark has it.

    Fitted on training bins, the penalty of nine from 10⁻⁴ to 1 by five folds of consecutive bins; scored on the
    others, mean over kinematics. Bins whose velocity is NaN are left out.

    Parameters
    ----------
    train_rates, rates
        Shape (…, unit).
    train_velocity, velocity
        Shape (…, kinematic), of the same bins.

    Raises
    ------
    ResponsesError
        Different bins, or rates that are not finite.

    References
    ----------
    Pei et al. (2021), NeurIPS Datasets and Benchmarks.
    """
    (x, y), (test_x, test_y) = _seen_bins(train_rates, train_velocity), _seen_bins(rates, velocity)
    search = GridSearchCV(Ridge(), {"alpha": np.logspace(-4, 0, 9)}).fit(x, y)
    return float(r2_score(test_y, search.predict(test_x)))


def psth_r2(rates: Array, psth: Array) -> float:
    """R² of single trials' rates against the PSTH of each trial's condition, mean over units.

    Parameters
    ----------
    rates
        Shape (trial, time, unit): expected spikes a bin.
    psth
        Mean response over trials of the trial's condition, of the same shape and in the same unit; NaN in all
        units where it is not known.

    Raises
    ------
    ResponsesError
        Shapes that differ, or rates that are not finite.

    References
    ----------
    Pei et al. (2021), NeurIPS Datasets and Benchmarks.
    """
    predicted, truth = _seen_bins(rates, psth)
    if predicted.shape != truth.shape:
        raise ResponsesError(
            f"The R² of PSTHs was asked for from rates of shape {np.shape(rates)} and PSTHs of shape "
            f"{np.shape(psth)}; expected (trial, time, unit) for both."
        )
    return float(r2_score(truth, predicted))


def _log_likelihood(rates: Float[Array, " bin"], spikes: Float[Array, " bin"]) -> float:
    rates = np.where(rates == 0, LOWEST_RATE, rates)
    return float(np.sum(spikes * np.log(rates) - rates - gammaln(spikes + 1)))


def _poisson_rates(train: Array, targets: Array, test: Array, alpha: float) -> Float[Array, "trial time unit"]:
    silent = np.flatnonzero(targets.sum(axis=(0, 1)) == 0)
    if len(silent):
        raise ResponsesError(
            f"{len(silent)} held-out units, such as number {silent[0]} of them, have no spikes in the "
            "training trials of a fold; leave them out of the counts."
        )
    mean, deviation = train.mean(axis=(0, 1)), train.std(axis=(0, 1))
    deviation = np.where(deviation > 0, deviation, 1.0)
    x, test_x = ((each - mean) / deviation for each in (train, test))
    flat = x.reshape(-1, x.shape[2])
    rates = [
        PoissonRegressor(alpha=alpha, max_iter=1000)
        .fit(flat, targets[:, :, unit].ravel())
        .predict(test_x.reshape(-1, x.shape[2]))
        for unit in range(targets.shape[2])
    ]
    return np.stack(rates, axis=-1).reshape(*test.shape[:2], -1)


def _seen_bins(rates: Array, target: Array) -> tuple[Float[Array, "bin unit"], Float[Array, "bin target"]]:
    x, y = np.asarray(rates, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if x.shape[:-1] != y.shape[:-1] or x.ndim < 2:
        raise ResponsesError(
            f"Rates of shape {x.shape} were given with a target of shape {y.shape}; expected the same trials "
            "and times."
        )
    x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    seen = ~np.isnan(y[:, 0])
    if not (np.isfinite(x[seen]).all() and np.isfinite(y[seen]).all()):
        raise ResponsesError("Rates or targets are NaN or infinite in bins that count; leave out these bins.")
    return x[seen], y[seen]
