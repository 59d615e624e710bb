r"""Delete-one jackknife of a similarity, with what is peculiar to pairs of stimuli told apart."""

from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from brainalign.metrics.gram_kernel import Multiplicity

Array = np.ndarray

N_PAIRS = 500
"""Pairs of stimuli that are left out together, about; nearly all of them where there are no more."""


def drawn_pairs(n: int) -> Int[Array, "pair 2"]:
    """Give distinct pairs of n stimuli, always the same ones: each stimulus with those some places after it.

    Examples
    --------
    >>> len(drawn_pairs(200)), len(np.unique(np.sort(drawn_pairs(200)), axis=0))
    (600, 600)
    """
    farthest = (n - 1) // 2
    shifts = np.random.default_rng(0).permutation(farthest)[: -(-N_PAIRS // n)] + 1
    first = np.tile(np.arange(n), len(shifts))
    return np.column_stack([first, (first + np.repeat(shifts, n)) % n])


class PairJackknife:
    r"""Value in every resample to second order in the weights of the stimuli, from what leaving some out does.

    .. math:: f(m) \approx f + \frac{n - 1}{n} \sum_i d_i (f - f_{-i}) + \sum_{i<j} d_i d_j Q_{ij}, \qquad
        d_i = \frac{n\,m_i}{\sum_j m_j} - 1, \quad Q_{ij} = f - f_{-i} - f_{-j} + f_{-ij}

    Over resamples the first sum has the jackknife's variance, the second Efron and Stein's estimate of what is
    peculiar to pairs, which the first has twice. Of pairs a sample stands for all. Stimuli are left out, where
    a derivative would weigh them a little less: a stimulus draws the fit towards itself the more, the more it
    weighs, so where noise is fitted the derivative is twice what the stimulus adds.

    Parameters
    ----------
    multiplicity
        How often each resample drew each stimulus; NaN is given where it drew none.

    References
    ----------
    Efron & Stein (1981), The jackknife estimate of variance, Ann Stat 9:586.
    """

    def __init__(self, multiplicity: Multiplicity):
        n = multiplicity.shape[1]
        drawn = multiplicity.sum(axis=1, keepdims=True)
        undrawn = np.full(multiplicity.shape, np.nan)
        self._excess = np.divide(multiplicity * n, drawn, out=undrawn, where=drawn > 0) - 1
        self.pairs = drawn_pairs(n)
        standing_for = np.sqrt(n * (n - 1) / 2 / len(self.pairs))
        self._of_pairs = standing_for * self._excess[:, self.pairs[:, 0]] * self._excess[:, self.pairs[:, 1]]

    @cached_property
    def left_out(self) -> Int[Array, "set n"]:
        """How often each stimulus counts: all once, then all but one, then all but each of `pairs`."""
        n = self._excess.shape[1]
        counts = np.ones((1 + n + len(self.pairs), n), dtype=np.int64)
        counts[np.arange(1, n + 1), np.arange(n)] = 0
        counts[np.arange(n + 1, len(counts))[:, None], self.pairs] = 0
        return counts

    def replicates(self, values: Float[Array, "*shape set"]) -> Float[Array, "*shape resample"]:
        """Give the values in every resample, from those on each of the sets of `left_out`.

        A stimulus or pair without which the value is undefined takes no part; NaN if that is each stimulus.
        """
        n = self._excess.shape[1]
        whole, without_one, without_two = values[..., :1], values[..., 1 : n + 1], values[..., n + 1 :]
        of_one = (whole - without_one) * (n - 1) / n
        of_two = whole - without_one[..., self.pairs].sum(axis=-1) + without_two
        undefined = np.isnan(of_one).all(axis=-1, keepdims=True)
        sums = _centred(of_one) @ self._excess.T + _centred(of_two) @ self._of_pairs.T
        return np.where(undefined, np.nan, whole + sums)


def _centred(terms: Float[Array, "*shape term"]) -> Float[Array, "*shape term"]:
    """Take off the mean of the terms that are defined, and make the others 0."""
    known = np.isfinite(terms)
    n_known = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    mean = np.where(known, terms, 0.0).sum(axis=-1, keepdims=True) / n_known
    return np.where(known, terms - mean, 0.0)
