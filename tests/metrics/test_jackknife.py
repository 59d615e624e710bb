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
    counts = multiplicities(50, n)
    jackknife = PairJackknife(counts)
    assert len(jackknife.pairs) == 36
    of_sets = np.array([quadratic(values, np.flatnonzero(kept)) for kept in jackknife.left_out])
    whole, ones = of_sets[0], of_sets[1 : n + 1]
    found = jackknife.replicates(of_sets)
    excess = counts - 1.0
    influence = (whole - ones) * 8 / 9
    upper = np.triu(values, 1)
    mean = upper[np.triu_indices(n, 1)].mean()
    centred = np.triu(upper - mean, 1)
    expected = whole + excess @ (influence - influence.mean()) + np.sum((excess @ centred) * excess, axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    np.testing.assert_allclose(PairJackknife(3 * counts).replicates(of_sets), expected, atol=1e-10)
    assert np.isnan(PairJackknife(0 * counts).replicates(of_sets)).all()


def test_each_stimulus_is_left_out_alone_and_with_others():
    jackknife = PairJackknife(multiplicities(3, 30))
    left_out = jackknife.left_out
    assert (left_out[0] == 1).all()
    np.testing.assert_array_equal(left_out[1:31], 1 - np.eye(30))
    np.testing.assert_array_equal([np.flatnonzero(row == 0) for row in left_out[31:]], np.sort(jackknife.pairs))


def test_what_is_undefined_without_some_takes_no_part():
    counts = multiplicities(20, 30)
    jackknife, generator = PairJackknife(counts), np.random.default_rng(1)
    of_sets = generator.normal(size=(3, len(jackknife.left_out)))
    of_sets[0, 31:], of_sets[0, 4] = np.nan, np.nan
    of_sets[1, 1:31] = np.nan
    of_sets[2, 0] = np.nan
    others = np.delete(np.arange(30), 3)
    found = jackknife.replicates(of_sets)
    influence = (of_sets[0, 0] - of_sets[0, 1 + others]) * 29 / 30
    np.testing.assert_allclose(
        found[0], of_sets[0, 0] + (counts - 1)[:, others] @ (influence - influence.mean()), atol=1e-12
    )
    assert np.isnan(found[1:]).all()
