r"""Delete-one jackknife of a similarity, with what is peculiar to pairs of stimuli told apart."""

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

    def replicates(
        self, value: float, without_one: Float[Array, " n"], without_two: Float[Array, " pair"]
    ) -> Float[Array, " resample"]:
        """Give the values, from that on all stimuli, without each stimulus and without each of `pairs`."""
        n = len(without_one)
        of_one = (value - without_one) * (n - 1) / n
        of_two = value - without_one[self.pairs].sum(axis=1) + without_two
        return value + self._excess @ (of_one - of_one.mean()) + self._of_pairs @ (of_two - of_two.mean())
