"""Sums over the columns of matrices between stimuli, weighted by how often each was drawn."""

import numpy as np
from jaxtyping import Float64

Array = np.ndarray

FEW = 2
"""Stimuli that a set of a jackknife leaves out, at most."""

LOSSY = 0.999
"""Share of a sum of magnitudes from which on it is not subtracted: three digits would be lost."""


class WeightedSums:
    """Products of matrices with counts, one set of stimuli a column.

    Where each set holds all stimuli once but for `FEW`, sums are those of the whole less a few columns, in
    place of a product. Sets in which next to nothing is left, and all where one set is not of this kind, take
    the product.

    Parameters
    ----------
    counts
        Weight of each stimulus in each set.
    """

    def __init__(self, counts: Float64[Array, "n set"]):
        self.counts = counts
        self._left_out: tuple[tuple[Array, Array], ...] | None = None
        absent = counts == 0
        n_absent = absent.sum(axis=0)
        if n_absent.max(initial=0) <= FEW and np.all(absent | (counts == 1)):
            of_set, stimulus = np.nonzero(absent.T)
            # Those of one set lie together.
            place = np.arange(len(of_set)) - (np.cumsum(n_absent) - n_absent)[of_set]
            self._left_out = tuple((of_set[place == k], stimulus[place == k]) for k in range(FEW))

    def __call__(self, matrices: Float64[Array, "*matrix n n"]) -> Float64[Array, "*matrix n set"]:
        """Give the weighted sum of each row in each set."""
        if self._left_out is None:
            return matrices @ self.counts
        n, n_sets = self.counts.shape
        sums = np.repeat(matrices.sum(axis=-1, keepdims=True), n_sets, axis=-1)
        # Sets that leave out fewer point at a column of zeros, added at the end.
        padded = np.concatenate([matrices, np.zeros_like(matrices[..., :1])], axis=-1)
        for sets, stimuli in self._left_out:
            columns = np.full(n_sets, n)
            columns[sets] = stimuli
            sums -= np.take(padded, columns, axis=-1)
        sizes = np.abs(matrices)
        lossy = self._lossy(_largest(_shares(sizes, sizes.sum(axis=-1, keepdims=True))))
        if lossy.any():
            sums[..., lossy] = matrices @ self.counts[:, lossy]
        return sums

    def forms(self, matrices: Float64[Array, "*matrix n n"]) -> Float64[Array, "*matrix set"]:
        """Give the sum over rows and columns, both weighted: mᵀ D m, for symmetric matrices alone."""
        if self._left_out is None:
            return np.einsum("...ns,ns->...s", self(matrices), self.counts)
        rows = matrices.sum(axis=-1)
        forms = np.repeat(rows.sum(axis=-1, keepdims=True), self.counts.shape[1], axis=-1)
        (sets, stimuli), (twice, others) = self._left_out
        for of_set, stimulus in self._left_out:
            forms[..., of_set] += matrices[..., stimulus, stimulus] - 2 * rows[..., stimulus]
        firsts = stimuli[np.searchsorted(sets, twice)]
        forms[..., twice] += 2 * matrices[..., firsts, others]
        sizes = np.abs(matrices).sum(axis=-1)
        lossy = self._lossy(_largest(2 * _shares(sizes, sizes.sum(axis=-1, keepdims=True))))
        if lossy.any():
            counts = self.counts[:, lossy]
            forms[..., lossy] = np.einsum("...ns,ns->...s", matrices @ counts, counts)
        return forms

    def _lossy(self, shares: Float64[Array, " n"]) -> Array:
        """Whether so much is left out of a set, by each stimulus's share, that the rest would lose digits."""
        lost = np.zeros(self.counts.shape[1])
        for sets, stimuli in self._left_out or ():
            lost[sets] += shares[stimuli]
        return lost > LOSSY


def _shares(sizes: Array, totals: Array) -> Array:
    return np.divide(sizes, totals, out=np.zeros_like(sizes), where=totals > 0)


def _largest(shares: Float64[Array, "*row n"]) -> Float64[Array, " n"]:
    """Give each stimulus's largest share of any row."""
    return shares.reshape(-1, shares.shape[-1]).max(axis=0, initial=0.0)
