"""Weighted sums of columns, against the matrix product."""

import numpy as np
import pytest

from brainalign.metrics.weighted_sums import WeightedSums


@pytest.mark.parametrize("n_left_out", [(0, 0, 0), (1, 1, 1), (2, 0, 1), (0, 2, 2), (2, 1, 3)])
@pytest.mark.parametrize("shape", [(7, 7), (2, 7, 7)])
def test_sets_that_leave_stimuli_out_have_the_sums_of_the_product(n_left_out, shape):
    generator = np.random.default_rng(0)
    matrices, counts = generator.normal(size=shape), np.ones((7, len(n_left_out)))
    for column, number in zip(counts.T, n_left_out, strict=True):
        column[generator.choice(7, number, replace=False)] = 0
    sums, symmetric = WeightedSums(counts), matrices + matrices.swapaxes(-1, -2)
    np.testing.assert_allclose(sums(matrices), matrices @ counts, rtol=0, atol=1e-12)
    forms = np.stack([np.sum(m * (symmetric @ m), axis=-1) for m in counts.T], axis=-1)
    np.testing.assert_allclose(sums.forms(symmetric), forms, rtol=0, atol=1e-12)


@pytest.mark.parametrize("other", [2.0, 0.5])
def test_other_counts_than_none_and_one_are_weights(other):
    matrix = np.random.default_rng(0).normal(size=(5, 5))
    counts = np.ones((5, 2))
    counts[[1, 3], [0, 1]] = 0, other
    np.testing.assert_array_equal(WeightedSums(counts)(matrix), matrix @ counts)
    forms = [m @ matrix @ m for m in counts.T]
    np.testing.assert_allclose(WeightedSums(counts).forms(matrix), forms, rtol=0, atol=1e-12)


def test_no_sets_have_no_sums():
    sums = WeightedSums(np.ones((4, 0)))
    assert sums(np.eye(4)).shape == (4, 0)
    assert sums.forms(np.eye(4)).shape == (0,)


def test_sets_of_all_but_one_or_two_take_no_product():
    counts = np.ones((6, 2))
    counts[[0, 2, 5], [0, 1, 1]] = 0
    sums = WeightedSums(counts)
    sums.counts = np.full_like(counts, np.nan)
    assert np.isfinite(sums(np.ones((6, 6)))).all()
    assert np.isfinite(sums.forms(np.ones((6, 6)))).all()


def test_without_a_stimulus_far_larger_than_all_others_no_digits_are_lost():
    matrix = np.random.default_rng(0).uniform(1, 2, size=(30, 30))
    matrix = matrix + matrix.T
    counts = 1 - np.eye(30)
    expected = WeightedSums(counts)(matrix)[:, 4], WeightedSums(counts).forms(matrix)[4]
    matrix[4] *= 1e12
    matrix[:, 4] *= 1e12
    sums = WeightedSums(counts)
    np.testing.assert_allclose(np.delete(sums(matrix)[:, 4], 4), np.delete(expected[0], 4), rtol=1e-12)
    np.testing.assert_allclose(sums.forms(matrix)[4], expected[1], rtol=1e-12)
