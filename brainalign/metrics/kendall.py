r"""Concordance of two rankings of pairs of stimuli, under many weightings at once.

Kendall's τa asks of every two pairs of stimuli whether both rankings order them alike. Sorting answers it
for one weighting; here the rankings are fixed and the weights change, so the same comparisons serve every
resample, as matrix products: pairs of stimuli are put into about :math:`\sqrt p` bins by either ranking;
within a bin every comparison is made, between bins sums of weights are compared.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int
from scipy.sparse import csr_array

_ROW_BYTES = 64 * 2**20
_EXACT_IN_FLOAT32 = 2**24


def concordance(
    x: Int[np.ndarray, " pair"], y: Int[np.ndarray, " pair"], multiplicity: Int[np.ndarray, "resample stimulus"]
) -> Float64[np.ndarray, " resample"]:
    r"""Concordant less discordant pairs of pairs, each weighted by how often it was drawn.

    .. math:: \sum_{k < l} w_k w_l \,\mathrm{sgn}(x_k - x_l)\,\mathrm{sgn}(y_k - y_l), \quad w_{ij} = m_i m_j

    Exact: all sums are of whole numbers. O(p√p) a resample, at the speed of matrix products.

    Parameters
    ----------
    x, y
        Place of each pair among the distinct dissimilarities of an RDM, from 0.
    multiplicity
        How often each resample drew each stimulus.
    """
    size = max(16, round(np.sqrt(len(x))))
    bins_x, bins_y = _Bins.of(x, size), _Bins.of(y, size)
    largest = np.bincount(bins_x.index).max()
    # No sum below exceeds this; float32 holds whole numbers up to it exactly, and is twice as fast.
    exact = multiplicity.sum(axis=1).max(initial=0) ** 2 < _EXACT_IN_FLOAT32
    counts = np.ascontiguousarray(multiplicity.T, dtype=np.float32 if exact else np.float64)
    step = max(1, _ROW_BYTES // (8 * int(largest)))
    return np.concatenate(
        [np.zeros(0)]
        + [
            _concordance_of_chunk(x, y, bins_x, bins_y, counts[:, start : start + step])
            for start in range(0, counts.shape[1], step)
        ]
    )


@dataclass(frozen=True)
class _Bins:
    """Bins of consecutive places: small ones of several places, or one place of any size."""

    index: np.ndarray
    mixed: np.ndarray

    @classmethod
    def of(cls, places: np.ndarray, size: int) -> "_Bins":
        counts = np.bincount(places)
        starts = np.cumsum(counts) - counts
        # A place that fills a bin gets one to itself: nothing inside it is ordered, so it may be large.
        keys = 2 * (starts // size) + (counts > size)
        _, bin_of_place = np.unique(keys, return_inverse=True)
        return cls(bin_of_place[places], np.bincount(bin_of_place) > 1)

    def members(self, order: np.ndarray) -> list[np.ndarray]:
        """Pairs of each bin; within a bin as in `order`, which is sorted by bin."""
        return np.split(order, np.cumsum(np.bincount(self.index))[:-1])


def _concordance_of_chunk(
    x: np.ndarray, y: np.ndarray, bins_x: _Bins, bins_y: _Bins, counts: np.ndarray
) -> np.ndarray:
    first, second = np.triu_indices(len(counts), 1)
    result = np.zeros(counts.shape[1])
    below = np.zeros((len(bins_y.mixed), counts.shape[1]), dtype=counts.dtype)
    by_bins = bins_x.members(np.lexsort((bins_y.index, bins_x.index)))
    for members, mixed in zip(by_bins, bins_x.mixed, strict=True):
        weights = counts[first[members]] * counts[second[members]]
        if mixed:
            result += _within(_signs(x[members]) * _signs(y[members]), weights)
        here = _sums(weights, bins_y.index[members], len(below))
        result += _between(below, here)
        below += here
    for members in _mixed(bins_y):
        signs = _signs(x[members]) * _signs(y[members]) * (_signs(bins_x.index[members]) != 0)
        result += _within(signs, counts[first[members]] * counts[second[members]])
    return result


def _mixed(bins: _Bins) -> list[np.ndarray]:
    members = bins.members(np.argsort(bins.index, kind="stable"))
    return [rows for rows, mixed in zip(members, bins.mixed, strict=True) if mixed]


def _sums(weights: np.ndarray, bins: np.ndarray, n_bins: int) -> np.ndarray:
    """Sum rows of weights by bin; the bins are in order."""
    starts = np.concatenate([[0], np.cumsum(np.bincount(bins, minlength=n_bins))])
    ones = np.ones(len(bins), dtype=weights.dtype)
    # A sparse product adds whole rows, many times faster than `np.add.reduceat`.
    return csr_array((ones, np.arange(len(bins)), starts), shape=(n_bins, len(bins))) @ weights


def _between(below: np.ndarray, here: np.ndarray) -> np.ndarray:
    """Compare a bin of x with all bins below it, where the bins of y differ."""
    upto = np.cumsum(below, axis=0)
    return _products(here, 2 * upto - below - upto[-1])


def _within(signs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compare all pairs of one bin; each comparison stands twice in the symmetric matrix of signs."""
    return _products(weights, signs.astype(weights.dtype) @ weights) / 2


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("br,br->r", a.astype(np.float64), b.astype(np.float64))


def _signs(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.int32)
    return np.sign(np.subtract.outer(values, values)).astype(np.int8)
