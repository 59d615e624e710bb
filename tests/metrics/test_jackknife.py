"""The jackknife of pairs against a loop over all pairs."""

import numpy as np
import pytest

from brainalign.metrics.jackknife import PairJackknife, drawn_pairs


def multiplicities(n_resamples: int, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), n_resamples)


@pytest.mark.parametrize("n", [4, 5, 30, 31, 640, 2560])
def test_pairs_are_distinct_and_take_every_stimulus_alike(n):
    pairs = drawn_pairs(n)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert len(np.unique(np.sort(pairs), axis=0)) == len(pairs) >= min(500, n * (n - 2) // 2)
    assert len(np.unique(np.bincount(pairs.ravel(), minlength=n))) == 1
    np.testing.assert_array_equal(pairs, drawn_pairs(n))


def quadratic(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """A sum over stimuli and over pairs of them, of those that remain."""
    kept = np.ix_(among, among)
    return np.diagonal(values)[among].sum() + (values[kept].sum() - np.trace(values[kept])) / 2


def test_replicates_of_a_sum_over_pairs_are_exact():
    # With n = 9 there are 36 pairs, all of which are drawn, and a sum over pairs has no third differences.
    n, generator = 9, np.random.default_rng(0)
    values = generator.normal(size=(n, n))
    values += values.T
    everyone, pairs = np.arange(n), drawn_pairs(n)
    assert len(pairs) == 36
    whole = quadratic(values, everyone)
    ones = np.array([quadratic(values, np.delete(everyone, i)) for i in everyone])
    twos = np.array([quadratic(values, np.delete(everyone, pair)) for pair in pairs])
    counts = multiplicities(50, n)
    found = PairJackknife(counts).replicates(whole, ones, twos)
    excess = counts - 1.0
    influence = (whole - ones) * 8 / 9
    upper = np.triu(values, 1)
    mean = upper[np.triu_indices(n, 1)].mean()
    centred = np.triu(upper - mean, 1)
    expected = whole + excess @ (influence - influence.mean()) + np.sum((excess @ centred) * excess, axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    np.testing.assert_allclose(PairJackknife(3 * counts).replicates(whole, ones, twos), expected, atol=1e-10)
    assert np.isnan(PairJackknife(0 * counts).replicates(whole, ones, twos)).all()
