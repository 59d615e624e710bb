r"""Concordance of two rankings of pairs of stimuli, under many weightings at once.

Kendall's τa asks of every two pairs of stimuli whether both rankings order them alike. Sorting answers it
for one weighting; here the rankings are fixed and the weights change, so the same comparisons serve every
resample, as matrix products: pairs of stimuli are put into about :math:`\sqrt p` bins by either ranking;
within a bin every comparison is made, between bins sums of weights are compared.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

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
    # The largest weight of all pairs together bounds every sum of weights.
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
    below = np.zeros((len(bins_y.mixed), counts.shape[1]))
    for members, mixed in zip(
        bins_x.members(np.lexsort((bins_y.index, bins_x.index))), bins_x.mixed, strict=True
    ):
        weights = counts[first[members]] * counts[second[members]]
        if mixed:
            result += _within(_signs(x[members]) * _signs(y[members]), weights)
        columns, starts = np.unique(bins_y.index[members], return_index=True)
        here = np.add.reduceat(weights, starts, axis=0, dtype=np.float64)
        result += _between(below, here, columns)
        below[columns] += here
    for members in _mixed(bins_y):
        signs = _signs(x[members]) * _signs(y[members]) * (_signs(bins_x.index[members]) != 0)
        result += _within(signs, counts[first[members]] * counts[second[members]])
    return result


def _mixed(bins: _Bins) -> list[np.ndarray]:
    members = bins.members(np.argsort(bins.index, kind="stable"))
    return [rows for rows, mixed in zip(members, bins.mixed, strict=True) if mixed]


def _between(below: np.ndarray, here: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Compare a bin of x with all bins below it, where the bins of y differ."""
    upto = np.cumsum(below, axis=0)
    ordered = 2 * upto[columns] - below[columns] - upto[-1]
    return np.einsum("br,br->r", here, ordered)


def _within(signs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compare all pairs of one bin; each comparison stands twice in the symmetric matrix of signs."""
    sums = signs.astype(weights.dtype) @ weights
    return np.einsum("br,br->r", weights.astype(np.float64), sums.astype(np.float64)) / 2


def _signs(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.int32)
    return np.sign(np.subtract.outer(values, values)).astype(np.int8)
