"""Ranks of dissimilarities under weights: what Spearman's ρ and ρa need of every resample of the stimuli.

Ranks are doubled, which keeps them whole numbers, so all sums are exact up to 2⁵³.
"""

from typing import NamedTuple

import numpy as np
import torch

from brainalign.metrics.weighted_sums import FEW

Array = np.ndarray

BLOCK = 2**16
"""Pairs that are ranked at once, about, in several sets of few stimuli: as many as stay in a core's cache."""


class RankSums(NamedTuple):
    """Number of pairs of each resample, and sums over them of products of doubled ranks less their mean."""

    n_pairs: Array
    products: Array
    """(layer, resample, subject): a layer's ranks times a subject's."""
    squares_x: Array
    """(layer, resample)"""
    squares_y: Array
    """(resample, subject)"""


def rank_sums(x: Array, y: Array, multiplicity: Array) -> RankSums:
    """Rank the pairs of every layer (rows of x) and subject (rows of y) in every resample.

    Parameters
    ----------
    x, y
        Condensed RDMs of the layers and of the subjects.
    multiplicity
        How often each resample drew each stimulus, whole numbers. Copies of one stimulus make no pair.
    """
    n_resamples = len(multiplicity)
    sums = RankSums(
        count_pairs(multiplicity),
        np.empty((len(x), n_resamples, len(y))),
        np.empty((len(x), n_resamples)),
        np.empty((n_resamples, len(y))),
    )
    rows = [_Sorted.of(row) for row in x], [_Sorted.of(row) for row in y]
    few_left_out = (multiplicity.max(axis=1) <= 1) & ((multiplicity == 0).sum(axis=1) <= FEW)
    for of_kind, write in ((~few_left_out, _of_copies), (few_left_out, _of_sets)):
        if of_kind.any():
            write(*rows, multiplicity, np.flatnonzero(of_kind), sums)
    return sums


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


def _of_copies(
    x: list[_Sorted], y: list[_Sorted], multiplicity: Array, resamples: Array, sums: RankSums
) -> None:
    """Write the sums of some resamples, each pair weighted by the product of its stimuli's counts."""
    n_stimuli = multiplicity.shape[1]
    first, second = np.triu_indices(n_stimuli, 1)
    pairs = first * n_stimuli + second
    square, weights = np.empty((n_stimuli, n_stimuli)), np.empty(len(pairs))
    ranks_x, ranks_y = np.empty((len(x), len(pairs))), np.empty((len(y), len(pairs)))
    fewer = ranks_x if len(x) < len(y) else ranks_y
    for k in resamples:
        drawn = multiplicity[k].astype(np.float64)
        np.multiply(drawn[:, None], drawn, out=square)
        # Every index is in range; "clip" only spares NumPy a buffer.
        np.take(square, pairs, out=weights, mode="clip")
        sums.squares_x[:, k] = _weighted_ranks(x, weights, int(sums.n_pairs[k]), ranks_x)
        sums.squares_y[k] = _weighted_ranks(y, weights, int(sums.n_pairs[k]), ranks_y)
        fewer *= weights
        sums.products[:, k] = ranks_x @ ranks_y.T


def _weighted_ranks(values: list[_Sorted], weights: Array, n_pairs: int, out: Array) -> Array:
    """Write twice the midrank of each pair among the copies, less its mean; return its sum of squares.

    Of the copies, `before` lie below a value and `tied` share it: its midrank is before + (tied + 1) / 2.
    """
    squares = np.empty(len(values))
    for k, of_row in enumerate(values):
        tied = of_row.added(weights)
        # Faster than np.cumsum, and as exact: these are whole numbers.
        doubled = torch.cumsum(torch.from_numpy(tied), 0).numpy()
        doubled *= 2
        doubled -= tied
        doubled -= n_pairs
        tied *= doubled
        squares[k] = tied @ doubled
        np.take(doubled, of_row.place, out=out[k], mode="clip")
    return squares


def _of_sets(x: list[_Sorted], y: list[_Sorted], multiplicity: Array, resamples: Array, sums: RankSums) -> None:
    """Write the sums of resamples that draw all stimuli once but for a few, from the ranks of the whole."""
    n_stimuli = multiplicity.shape[1]
    first, second = np.triu_indices(n_stimuli, 1)
    pair_of = np.zeros((n_stimuli, n_stimuli), dtype=np.int64)
    pair_of[first, second] = pair_of[second, first] = np.arange(len(first))
    size = min(len(resamples), max(1, BLOCK // max(1, len(first))))
    tables = np.empty((2, size, len(first) + 1), dtype=np.int32)
    ranks = np.empty((1 + len(y), size, len(first)))
    for start in range(0, len(resamples), size):
        block = resamples[start : start + size]
        lost = [_pairs_lost(pair_of, multiplicity[k]) for k in block]
        at = np.repeat(np.arange(len(block)), [len(pairs) for pairs in lost]), np.concatenate(lost)
        ranks_x, *ranks_y = ranks[:, : len(block)]
        for s, row in enumerate(y):
            _ranks_without(row, at, tables, ranks_y[s])
            sums.squares_y[block, s] = np.vecdot(ranks_y[s], ranks_y[s])
        for row, products, squares in zip(x, sums.products, sums.squares_x, strict=True):
            _ranks_without(row, at, tables, ranks_x)
            squares[block] = np.vecdot(ranks_x, ranks_x)
            for s, other in enumerate(ranks_y):
                products[block, s] = np.vecdot(ranks_x, other)


def _pairs_lost(pair_of: Array, drawn: Array) -> Array:
    """Index each pair of which a stimulus is left out, once."""
    left_out = np.flatnonzero(drawn == 0)
    lost = pair_of[left_out]
    for k, row in enumerate(lost):
        row[left_out[: k + 1]] = -1
    return lost[lost >= 0]


def _ranks_without(values: _Sorted, lost: tuple[Array, Array], tables: Array, out: Array) -> None:
    """Write twice the midrank of each pair in each set less its mean, or 0 where the pair is lost to the set.

    A pair lost takes 1 off the doubled ranks at its own place and 2 off those above, and adds 1 to all as the
    mean falls: a step down at its place and another at the next. `lost` are sets and pairs, `tables` is room.
    """
    n_sets, (of_set, pair) = len(out), lost
    steps, found = tables[0, :n_sets, : len(values.steps) + 1], tables[1, :n_sets, : out.shape[1]]
    steps[:, :-1], steps[:, -1] = values.steps, 0
    place = values.place[pair]
    np.subtract.at(steps, (of_set, place), np.int32(1))
    np.subtract.at(steps, (of_set, place + 1), np.int32(1))
    steps[:, 0] += np.bincount(of_set, minlength=n_sets)
    np.cumsum(steps, axis=1, out=steps)
    out[:] = np.take(steps, values.place, axis=1, out=found, mode="clip")
    out[lost] = 0
