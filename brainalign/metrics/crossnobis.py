r"""Noise-normalised RDMs of recorded responses: squared Mahalanobis distances, and their unbiased form."""

import numpy as np
from jaxtyping import Float

from brainalign.errors import ResponsesError
from brainalign.metrics.noise_precision import n_repeats, residuals
from brainalign.metrics.rdm import Condensed, squared_euclidean, to_condensed

Precision = Float[np.ndarray, "unit unit"]


def mahalanobis(patterns: Float[np.ndarray, "stimulus unit"], precision: Precision) -> Condensed:
    r"""Squared Mahalanobis distance a unit: :math:`d_{ij} = (x_i - x_j)^T P (x_i - x_j) / p`.

    Without unit, where P is the noise's precision. The mean over the p units, as in ``rsatoolbox``'s method
    ``mahalanobis``. Noise in the patterns adds to every distance (`crossnobis` has it removed).

    Parameters
    ----------
    patterns
        Responses averaged over repeats.
    precision
        Inverse of the units' noise covariance (`brainalign.metrics.noise_precision`).

    References
    ----------
    Walther et al. (2016), NeuroImage 137:188.

    Examples
    --------
    >>> mahalanobis(np.array([[0.0, 0.0], [3.0, 4.0]]), np.diag([1.0, 0.25]))
    array([6.5])
    """
    centred = patterns - patterns.mean(axis=0)
    return squared_euclidean(centred @ precision @ centred.T, centred.sum(axis=1), patterns.shape[1])


def crossnobis(repeats: Float[np.ndarray, "stimulus unit repeat"], precision: Precision) -> Condensed:
    r"""Cross-validated squared Mahalanobis distance a unit, unbiased by noise; zero distances average to zero.

    .. math:: d_{ij} = \frac{1}{p} \Big[
        \langle x_{ir}^T P\, x_{ir'} \rangle_{r \ne r'} + \langle x_{jr}^T P\, x_{jr'} \rangle_{r \ne r'}
        - 2\, \langle x_{ir}^T P\, x_{jr'} \rangle_{r, r'} \Big]

    over all ordered pairs of different presentations, of which any two of different stimuli are: presentations
    are trials, not runs that share noise. This is the mean of the leave-one-out form over every way to line
    presentations up in folds, and so needs neither folds nor equal numbers of repeats. Computed as the distance
    of the means, less what noise adds to it, :math:`\sum_r \epsilon_{ir}^T P\, \epsilon_{ir} / (n_i (n_i - 1))`
    of each of the two stimuli, with :math:`\epsilon` the residuals; where units miss different repeats, each
    pair of units has its own unbiased share of it. O(n p² R).

    Equals ``calc_rdm_unbalanced(method="crossnobis")`` of ``rsatoolbox`` with a fold for each presentation.

    Parameters
    ----------
    repeats
        Single presentations; NaN where one is missing, anywhere along the repeats.
    precision
        Inverse of the units' noise covariance (`brainalign.metrics.noise_precision`).

    Returns
    -------
    :
        Of either sign.

    Raises
    ------
    ResponsesError
        Stimuli of which a unit has fewer than two repeats.

    References
    ----------
    Walther et al. (2016), NeuroImage 137:188, eq. 7; Diedrichsen et al. (2021), arXiv:2007.02789.

    Examples
    --------
    >>> noisy = np.array([[[1.0, -1.0]], [[3.0, 1.0]]])
    >>> crossnobis(noisy, np.eye(1))  # the means are 2 apart: 4, of which noise has added 1 + 1
    array([2.])
    """
    count = n_repeats(repeats)
    few = np.flatnonzero((count < 2).any(axis=1))
    if len(few):
        raise ResponsesError(
            f"{len(few)} of {len(repeats)} stimuli, such as the one at index {few[0]}, were not repeated for "
            "some unit, and crossnobis compares only different repeats; leave these stimuli or units out, or "
            "use the RDM method 'mahalanobis'."
        )
    mean = np.nansum(repeats, axis=2) / count
    pairs = zip(residuals(repeats), ~np.isnan(repeats), strict=True)
    added = np.array([_added_by_noise(deviations, valid, precision) for deviations, valid in pairs])
    return mahalanobis(mean, precision) - to_condensed(added[:, None] + added) / repeats.shape[1]


def _added_by_noise(
    deviations: Float[np.ndarray, "unit repeat"], valid: np.ndarray, precision: Precision
) -> float:
    """Estimate what noise adds to a mean pattern's squared length, from the deviations around it.

    Of two units with a and b valid repeats, k of them in common, the products of deviations add up to
    (ab − a − b + k) k / (ab) times their covariance, and their means covary by k / (ab) times it.
    """
    seen = valid.astype(np.float64)
    count = seen.sum(axis=1)
    shared = seen @ seen.T
    scale = np.outer(count, count) - count[:, None] - count + shared
    # Units that share no presentation share no noise; of two repeats each, their scale is zero too.
    return float(np.sum(precision * (deviations @ deviations.T) / np.where(shared > 0, scale, 1.0)))
