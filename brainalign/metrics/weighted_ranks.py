"""Ranks of dissimilarities under weights: what Spearman's ρ and ρa need of every resample of the stimuli.

Ranks are doubled, which keeps them whole numbers, so all sums are exact up to 2⁵³.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

Array = np.ndarray


class RankSums(NamedTuple):
    """Sums over the pairs of one resample, of products of the doubled ranks less their mean."""

    n_pairs: int
    products: Array
    """(layer, subject): a layer's ranks times a subject's."""
    squares_x: Array
    squares_y: Array


def rank_sums(x: Array, y: Array, multiplicity: Array) -> Iterator[RankSums]:
    """Rank the pairs of every layer (rows of x) and subject (rows of y) in one resample after another.

    Parameters
    ----------
    x, y
        Condensed RDMs of the layers and of the subjects.
    multiplicity
        How often each resample drew each stimulus, whole numbers. Copies of one stimulus make no pair.
    """
    sorted_x, sorted_y = ([_Sorted.of(row) for row in rdms] for rdms in (x, y))
    n_stimuli = multiplicity.shape[1]
    first, second = np.triu_indices(n_stimuli, 1)
    pair_of = np.zeros((n_stimuli, n_stimuli), dtype=np.int64)
    pair_of[first, second] = pair_of[second, first] = np.arange(len(first))
    flat = first * n_stimuli + second
    square, weights = np.empty((n_stimuli, n_stimuli)), np.empty(len(first))
    ranks_x, ranks_y, table = np.empty_like(weights), np.empty_like(y), np.empty((2, len(first)), np.int32)
    products, squares_x = np.empty((len(x), len(y))), np.empty(len(x))
    for drawn, n_pairs in zip(multiplicity, count_pairs(multiplicity).tolist(), strict=True):
        once = drawn.max() <= 1
        if once:
            rank = partial(_ranks_without, lost=_pairs_lost(pair_of, drawn), table=table)
        else:
            np.multiply(drawn[:, None], drawn, out=square)
            # Every index is in range; "clip" only spares NumPy a buffer.
            np.take(square, flat, out=weights, mode="clip")
            rank = partial(_weighted_ranks, weights=weights, n_pairs=n_pairs)
        squares_y = np.array([rank(of_row, out=ranks) for of_row, ranks in zip(sorted_y, ranks_y, strict=True)])
        if not once:
            ranks_y *= weights
        for k, of_row in enumerate(sorted_x):
            squares_x[k] = rank(of_row, out=ranks_x)
            products[k] = ranks_y @ ranks_x
        yield RankSums(n_pairs, products, squares_x, squares_y)


def count_pairs(multiplicity: Array) -> Array:
    """Count the pairs of each resample, copies of one stimulus with each other left out."""
    return (multiplicity.sum(axis=1) ** 2 - (multiplicity**2).sum(axis=1)) // 2


class _Sorted(NamedTuple):
    """Where values stand among their distinct ones."""

    place: Array
    """Place of each value among the distinct ones, from 0."""
    order: Array | None
    """Index of the value at each place, where no two are equal."""
    steps: Array
    """Doubled rank, less its mean, of the value at each place: the first, then what each adds to the last."""

    @classmethod
    def of(cls, values: Array) -> "_Sorted":
        distinct, index, place, tied = np.unique(
            values, return_index=True, return_inverse=True, return_counts=True
        )
        doubled = 2 * np.cumsum(tied) - tied - len(values)
        steps = np.diff(doubled, prepend=0).astype(np.int32)
        return cls(place, index if len(distinct) == len(values) else None, steps)

    def added(self, weights: Array) -> Array:
        """Add up the weights at each place."""
        if self.order is None:
            return np.bincount(self.place, weights)
        return np.take(weights, self.order, mode="clip")


def _weighted_ranks(values: _Sorted, weights: Array, n_pairs: int, out: Array) -> float:
    """Write twice the midrank of each pair among the copies, less its mean; return its sum of squares.

    Of the copies, `before` lie below a value and `tied` share it: its midrank is before + (tied + 1) / 2.
    """
    tied = values.added(weights)
    # Faster than np.cumsum, and as exact: these are whole numbers.
    doubled = torch.cumsum(torch.from_numpy(tied), 0).numpy()
    doubled *= 2
    doubled -= tied
    doubled -= n_pairs
    tied *= doubled
    np.take(doubled, values.place, out=out, mode="clip")
    return float(tied @ doubled)


def _pairs_lost(pair_of: Array, drawn: Array) -> Array:
    """Index each pair of which a stimulus is left out, once."""
    left_out = np.flatnonzero(drawn == 0)
    lost = pair_of[left_out]
    for k, row in enumerate(lost):
        row[left_out[: k + 1]] = -1
    return lost[lost >= 0]


def _ranks_without(values: _Sorted, lost: Array, table: Array, out: Array) -> float:
    """Write what `_weighted_ranks` does where no pair counts twice; 0 for the pairs lost.

    A pair lost takes 1 off the doubled ranks at its own place and 2 off those above, and adds 1 to all as the
    mean falls: a step down at its place and another at the next.
    """
    steps, place = table[0, : len(values.steps)], values.place[lost]
    steps[:] = values.steps
    np.subtract.at(steps, place, np.int32(1))
    np.subtract.at(steps, place[place + 1 < len(steps)] + 1, np.int32(1))
    steps[0] += len(lost)
    np.cumsum(steps, out=steps)
    out[:] = np.take(steps, values.place, out=table[1], mode="clip")
    out[lost] = 0
    return float(out @ out)
