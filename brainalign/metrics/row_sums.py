"""Sums over the columns of matrices between stimuli, weighted by how often each was drawn."""

import numpy as np
from jaxtyping import Float

Array = np.ndarray

FEW = 2
"""Stimuli left out of a set, at most, for its sums to be those over all stimuli less a few columns."""


class RowSums:
    """Matrix product with counts, one set of stimuli a column; spared where sets hold all stimuli but a few.

    A jackknife asks for sets that leave out one stimulus or two. A sum then costs one subtraction for each of
    these, in place of n multiply-adds.

    Parameters
    ----------
    counts
        Weight of each stimulus in each set.
    """

    def __init__(self, counts: Float[Array, "n set"]):
        self.counts = counts
        self._left_out: Array | None = None
        absent = counts == 0
        n_absent = absent.sum(axis=0)
        if n_absent.max(initial=0) <= FEW and np.all(absent | (counts == 1)):
            of_set, stimulus = np.nonzero(absent.T)
            # Those of one set lie together. Where fewer are left out, a column of zeros is, behind the last.
            slot = np.arange(len(of_set)) - (np.cumsum(n_absent) - n_absent)[of_set]
            self._left_out = np.full((n_absent.max(initial=0), len(n_absent)), len(counts))
            self._left_out[slot, of_set] = stimulus

    def __call__(self, matrices: Float[Array, "*matrix n n"]) -> Float[Array, "*matrix n set"]:
        """Give the weighted sum of each row in each set."""
        if self._left_out is None:
            return matrices @ self.counts
        sums = np.repeat(matrices.sum(axis=-1, keepdims=True), self.counts.shape[1], axis=-1)
        padded = _padded(matrices)
        for columns in self._left_out:
            sums -= np.take(padded, columns, axis=-1)
        return sums

    def forms(self, matrices: Float[Array, "*matrix n n"]) -> Float[Array, "*matrix set"]:
        """Give the sum over rows and columns, both weighted: mᵀ D m of each symmetric matrix in each set."""
        if self._left_out is None:
            return np.einsum("...ns,ns->...s", self(matrices), self.counts)
        rows = matrices.sum(axis=-1)
        forms = np.repeat(rows.sum(axis=-1, keepdims=True), self.counts.shape[1], axis=-1)
        rows, padded = _padded(rows), _padded(_padded(matrices).swapaxes(-1, -2))
        for columns in self._left_out:
            forms -= 2 * rows[..., columns]
            for others in self._left_out:
                forms += padded[..., columns, others]
        return forms


def _padded(values: Array) -> Array:
    """Add a zero at the end of the last axis."""
    return np.concatenate([values, np.zeros_like(values[..., :1])], axis=-1)
