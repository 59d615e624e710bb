r"""Whitened comparison of RDMs: the noise that dissimilarities share through their stimuli is divided out.

Two dissimilarities that share a stimulus share its noise, so the entries of an RDM are correlated. With
:math:`\Sigma` the covariance of the stimuli's mean patterns and C the contrasts of all pairs, squared distances
of noise alone have a covariance proportional to :math:`V = (C \Sigma C^T) \circ (C \Sigma C^T)`
(Diedrichsen et al. 2021, arXiv:2007.02789), and RDMs are compared by :math:`x^T V^{-1} y` in place of
:math:`x^T y`.

V of p pairs is never made. With G = −D/2 of the square RDM D and :math:`\Sigma = L L^T`,

.. math:: x^T V^{-1} y \propto \langle M G_x M^T, M G_y M^T \rangle, \quad M = (I - o o^T / o^T o) L^{-1},
    \quad o = L^{-1} 1.

With equal noise this is the product of the double-centred matrices, and its cosine the linear CKA.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from brainalign.errors import ResponsesError
from brainalign.metrics.rdm import n_stimuli_of, to_square
from brainalign.metrics.weighted_sums import WeightedSums

Rdms = Float[np.ndarray, "rdm pair"]


def whiten(rdms: Rdms, covariance: Float[np.ndarray, "n n"] | None = None) -> Float[np.ndarray, "rdm entry"]:
    """Bring RDMs into the space in which their noise is white: inner products there are those by V⁻¹.

    Parameters
    ----------
    rdms
        Condensed RDMs of squared distances.
    covariance
        Covariance of the stimuli's mean patterns; None where they are equally noisy and independent.

    Raises
    ------
    ResponsesError
        A covariance of another shape, or one that is not positive definite.

    Examples
    --------
    >>> x, y = whiten(np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))
    >>> round(float(x @ y / np.sqrt((x @ x) * (y @ y))), 6)
    0.5
    """
    n = n_stimuli_of(rdms.shape[1])
    inverse_root = np.eye(n) if covariance is None else _inverse_root(covariance, n)
    one = inverse_root.sum(axis=1)
    transform = inverse_root - np.outer(one, one @ inverse_root) / (one @ one)
    return (transform @ to_square(-rdms / 2) @ transform.T).reshape(len(rdms), -1)


def resampled_cosines(
    x: Float[np.ndarray, "x pair"],
    y: Float[np.ndarray, "y pair"],
    multiplicity: Int[np.ndarray, "resample n"],
    centred: bool,
    variances: Float[np.ndarray, "y n"] | None,
    memory: int,
) -> Float[np.ndarray, "x resample y"]:
    r"""Whitened cosine of two stacks of RDMs in every resample of the stimuli, by weights in place of copies.

    Each copy of a stimulus is a condition with noise of its own, and pairs of copies of one stimulus are
    dropped from the RDMs and from V. With m the counts, :math:`s = \sigma^{-1}` the inverses of the stimuli's
    noise variances, w = m s, :math:`T = \sum w` and r = D w, inverting V (a diagonal matrix and one of low
    rank, alike for all copies of a stimulus) gives

    .. math:: 2\, x^T V^{-1} y = \tfrac12 w^T (D_x \circ D_y)\, w - \sum_i f_i r^x_i r^y_i
        + \frac{\sum_i f_i r^x_i \sum_i f_i r^y_i}{1 + \sum_i f_i}, \quad f = w / (T + 2 s - 2 w).

    O(n²) a resample and pair of RDMs, as matrix products.

    Parameters
    ----------
    x, y
        Condensed RDMs.
    multiplicity
        How often each resample drew each stimulus.
    centred
        Whether each RDM's mean over the pairs drawn is taken from it first (``corr_cov``).
    variances
        Noise variance of each stimulus's mean pattern, for each RDM of `y`; None where they are equal.
    memory
        Bytes that the working arrays may take, about.

    Returns
    -------
    :
        NaN where an RDM has no length.
    """
    square_x, square_y = to_square(x), to_square(y)
    result = np.empty((len(x), len(multiplicity), len(y)))
    # A resample costs about four numbers for each stimulus of each RDM.
    size = max(1, memory // (4 * 8 * multiplicity.shape[1] * (len(x) + len(y))))
    for start in range(0, len(multiplicity), size):
        rows = slice(start, start + size)
        if variances is None:
            result[:, rows] = _cosines(square_x, square_y, multiplicity[rows], centred, None)
            continue
        for k, own in enumerate(variances):
            alone = _cosines(square_x, square_y[k : k + 1], multiplicity[rows], centred, own)
            result[:, rows, k] = alone[:, :, 0]
    return result


def _cosines(
    x: np.ndarray, y: np.ndarray, multiplicity: np.ndarray, centred: bool, variances: np.ndarray | None
) -> np.ndarray:
    counts = multiplicity.T.astype(np.float64)
    precision = np.ones(len(counts)) if variances is None else 1.0 / variances
    space = _Whitened.of(counts, precision)
    sums_x, sums_y = space.row_sums(x), space.row_sums(y)
    pairs = [space.products(x * of_y, sums_x, sums) for of_y, sums in zip(y, sums_y, strict=True)]
    shared = np.stack(pairs, axis=2)
    own_x, own_y = space.products(x * x, sums_x, sums_x), space.products(y * y, sums_y, sums_y)
    if centred:
        equal = variances is None
        mean_x = _means(sums_x if equal else x @ counts, counts)
        mean_y = _means(sums_y if equal else y @ counts, counts)
        one_x, one_y, one = (space.with_ones(sums) for sums in (sums_x, sums_y, space.sums_of_ones))
        shared += (mean_x * one - one_x)[:, :, None] * mean_y.T - mean_x[:, :, None] * one_y.T
        own_x += (mean_x * one - 2 * one_x) * mean_x
        own_y += (mean_y * one - 2 * one_y) * mean_y
    lengths = np.sqrt(np.maximum(own_x, 0.0))[:, :, None] * np.sqrt(np.maximum(own_y, 0.0)).T
    cosines = np.divide(shared, lengths, out=np.full(shared.shape, np.nan), where=lengths > 0)
    return np.clip(cosines, -1.0, 1.0)


@dataclass(frozen=True)
class _Whitened:
    """Inner products by V⁻¹ in a chunk of resamples; arrays over (n, resample) or (resample,).

    T + 2s − 2w is zero or less for at most one stimulus, one that takes half of all draws or more. In every
    resample the stimulus with the smallest is therefore summed apart, in a form that holds for any value.
    """

    weights: np.ndarray
    row_sums: WeightedSums
    share: np.ndarray
    total: np.ndarray
    apart: np.ndarray
    apart_share: np.ndarray

    @classmethod
    def of(cls, counts: np.ndarray, precision: np.ndarray) -> "_Whitened":
        weights = counts * precision[:, None]
        whole = weights.sum(axis=0) + 2 * precision[:, None] - 2 * weights
        apart = np.argmin(whole, axis=0)[None]
        share = weights / np.where(np.arange(len(counts))[:, None] == apart, np.inf, whole)
        total = 1 + share.sum(axis=0)
        weight, rest = (np.take_along_axis(a, apart, axis=0)[0] for a in (weights, whole))
        return cls(
            weights, WeightedSums(weights), share, total, apart, weight / (total * (rest * total + weight))
        )

    def products(self, pairs: np.ndarray, sums_a: np.ndarray, sums_b: np.ndarray) -> np.ndarray:
        """Inner products, from the elementwise products of square RDMs and their weighted row sums."""
        return self.row_sums.forms(pairs) / 2 - self._additive(sums_a, sums_b)

    @property
    def sums_of_ones(self) -> np.ndarray:
        """Weighted row sums of the RDM of ones."""
        return self.weights.sum(axis=0) - self.weights

    def with_ones(self, sums: np.ndarray) -> np.ndarray:
        """Inner products with the RDM of ones."""
        return np.einsum("...nr,nr->...r", sums, self.weights) / 2 - self._additive(sums, self.sums_of_ones)

    def _additive(self, sums_a: np.ndarray, sums_b: np.ndarray) -> np.ndarray:
        """Sum what contributions that add over the two stimuli of a pair have in an inner product."""
        along_a, along_b = (np.einsum("...nr,nr->...r", sums, self.share) for sums in (sums_a, sums_b))
        within = np.einsum("...nr,...nr,nr->...r", sums_a, sums_b, self.share)
        lone = self._lone(sums_a, along_a) * self._lone(sums_b, along_b)
        return within - along_a * along_b / self.total + self.apart_share * lone

    def _lone(self, sums: np.ndarray, along: np.ndarray) -> np.ndarray:
        index = np.broadcast_to(self.apart, (*sums.shape[:-2], 1, sums.shape[-1]))
        return self.total * np.take_along_axis(sums, index, axis=-2)[..., 0, :] - along


def _means(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean of each RDM over the pairs drawn."""
    pairs = counts.sum(axis=0) ** 2 - (counts**2).sum(axis=0)
    return np.einsum("knr,nr->kr", sums, counts) / np.maximum(pairs, 1)


def _inverse_root(covariance: np.ndarray, n: int) -> np.ndarray:
    if covariance.shape != (n, n):
        raise ResponsesError(f"A covariance of shape {covariance.shape} was given for RDMs of {n} stimuli.")
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError as error:
        raise ResponsesError(
            "The covariance of the stimuli's patterns is not positive definite; shrink it first."
        ) from error
    return scipy.linalg.solve_triangular(root, np.eye(n), lower=True)
