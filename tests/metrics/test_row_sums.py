"""Weighted sums of rows, against the matrix product."""

import numpy as np
import pytest

from brainalign.metrics.row_sums import RowSums


@pytest.mark.parametrize("n_left_out", [(0, 0, 0), (1, 1, 1), (2, 0, 1), (0, 2, 2), (2, 1, 3)])
@pytest.mark.parametrize("shape", [(7, 7), (2, 7, 7)])
def test_sets_that_leave_stimuli_out_have_the_sums_of_the_product(n_left_out, shape):
    generator = np.random.default_rng(0)
    matrices, counts = generator.normal(size=shape), np.ones((7, len(n_left_out)))
    for column, number in zip(counts.T, n_left_out, strict=True):
        column[generator.choice(7, number, replace=False)] = 0
    row_sums, symmetric = RowSums(counts), matrices + matrices.swapaxes(-1, -2)
    np.testing.assert_allclose(row_sums(matrices), matrices @ counts, rtol=0, atol=1e-12)
    forms = np.stack([np.sum(m * (symmetric @ m), axis=-1) for m in counts.T], axis=-1)
    np.testing.assert_allclose(row_sums.forms(symmetric), forms, rtol=0, atol=1e-12)


@pytest.mark.parametrize("other", [2.0, 0.5])
def test_other_counts_than_none_and_one_are_weights(other):
    matrix = np.random.default_rng(0).normal(size=(5, 5))
    counts = np.ones((5, 2))
    counts[[1, 3], [0, 1]] = 0, other
    np.testing.assert_array_equal(RowSums(counts)(matrix), matrix @ counts)
    forms = [m @ matrix @ m for m in counts.T]
    np.testing.assert_allclose(RowSums(counts).forms(matrix), forms, rtol=0, atol=1e-12)


def test_no_sets_have_no_sums():
    row_sums = RowSums(np.ones((4, 0)))
    assert row_sums(np.eye(4)).shape == (4, 0)
    assert row_sums.forms(np.eye(4)).shape == (0,)


def test_sets_of_all_but_one_or_two_take_no_product(monkeypatch):
    counts = np.ones((6, 2))
    counts[[0, 2, 5], [0, 1, 1]] = 0
    row_sums = RowSums(counts)
    row_sums.counts = np.full_like(counts, np.nan)
    assert np.isfinite(row_sums(np.eye(6))).all()
    assert np.isfinite(row_sums.forms(np.eye(6))).all()
