"""Ceilings of mean learning curves: known algebra, planted truth recovered, noise that agrees by chance."""

import numpy as np
import pytest
import xarray as xr

from brainalign.errors import NeedsError, ResponsesError
from brainalign.trajectory.half_ceilings import half_ceilings

TRUTH = 0.5 + 0.45 * (1 - np.exp(-np.arange(20) / 6))


def _curves(values):
    return xr.DataArray(values, dims=("subject", "step"))


def _sample(n_subjects, noise, generator):
    return _curves(TRUTH + noise * generator.normal(size=(n_subjects, 20)))


def test_two_subjects_are_their_own_halves():
    x, y = np.array([0.1, 0.4, 0.6, 0.7]), np.array([0.2, 0.3, 0.9, 0.8])
    found = half_ceilings(_curves(np.array([x, y])), 5, np.random.default_rng(0))
    r = np.corrcoef(x, y)[0, 1]
    assert found.correlation == pytest.approx(r, abs=1e-12)
    assert found.reliability == pytest.approx(2 * r / (1 + r), abs=1e-12)
    assert found.ceiling == pytest.approx(np.sqrt(2 * r / (1 + r)), abs=1e-12)
    assert found.rms == pytest.approx(np.sqrt(np.mean((x - y) ** 2)), abs=1e-12)
    assert found.rms_floor == pytest.approx(found.rms / 2, abs=1e-12)
    assert (found.n_subjects, found.n_points, found.n_splits) == (2, 4, 5)


@pytest.mark.parametrize("n_subjects", [9, 40])
def test_it_predicts_how_well_the_true_curve_matches_the_mean(n_subjects):
    """Over many experiments the true curve's r with, and distance from, the mean of all are what it says."""
    generator = np.random.default_rng(0)
    ceilings, floors, correlations, squares = [], [], [], []
    for _ in range(200):
        curves = _sample(n_subjects, 0.08 * np.sqrt(n_subjects), generator)
        found = half_ceilings(curves, 20, generator)
        mean = curves.values.mean(axis=0)
        ceilings.append(found.ceiling)
        floors.append(found.rms_floor**2)
        correlations.append(np.corrcoef(mean, TRUTH)[0, 1])
        squares.append(np.mean((mean - TRUTH) ** 2))
    assert np.sqrt(np.mean(floors)) == pytest.approx(np.sqrt(np.mean(squares)), rel=0.03)
    assert np.mean(ceilings) == pytest.approx(np.mean(correlations), abs=0.02)
    assert np.mean(ceilings) < 0.985


def test_more_subjects_agree_better():
    generator = np.random.default_rng(1)
    few, many = (half_ceilings(_sample(n, 0.5, generator), 50, generator) for n in (6, 200))
    assert few.ceiling < many.ceiling < 1
    assert many.rms_floor < few.rms_floor / 3


def test_noise_without_a_curve_does_not_agree():
    generator = np.random.default_rng(2)
    found = [
        half_ceilings(_curves(generator.normal(size=(30, 20))), 20, generator).correlation for _ in range(100)
    ]
    assert abs(np.mean(found)) < 0.06


def test_halves_are_disjoint_and_use_everyone():
    """Of orthogonal subjects each weighs 1 over its half: the squared difference is then known exactly."""
    for n, share in ((4, 1 / 2 + 1 / 2), (5, 1 / 2 + 1 / 3)):
        found = half_ceilings(_curves(np.eye(n)), 7, np.random.default_rng(0))
        assert found.rms**2 == pytest.approx(share / n, abs=1e-12)


def test_gaps_are_left_out_and_empty_subjects_not_counted():
    x, y = np.array([0.1, 0.4, 0.6, 0.7, 0.0]), np.array([0.2, 0.3, 0.9, 0.8, np.nan])
    padded = _curves(np.array([x, np.full(5, np.nan), y]))
    whole = half_ceilings(_curves(np.array([x[:4], y[:4]])), 3, np.random.default_rng(0))
    found = half_ceilings(padded, 3, np.random.default_rng(0))
    assert found.correlation == pytest.approx(whole.correlation, abs=1e-12)
    assert found.rms == pytest.approx(whole.rms, abs=1e-12)
    assert found.n_subjects == 2
    assert np.isnan(padded.values).sum() == 6


def test_points_of_all_items_count_together():
    generator = np.random.default_rng(4)
    values = generator.random((6, 4, 3))
    three = xr.DataArray(values, dims=("subject", "step", "item"))
    flat = _curves(values.reshape(6, 12))
    assert half_ceilings(three, 9, np.random.default_rng(0)) == half_ceilings(flat, 9, np.random.default_rng(0))


def test_the_generator_decides():
    curves = _sample(11, 0.5, np.random.default_rng(0))
    same = [half_ceilings(curves, 10, np.random.default_rng(seed)) for seed in (5, 5, 6)]
    assert same[0] == same[1] != same[2]


@pytest.mark.parametrize("values", [np.ones((4, 6)), np.random.default_rng(0).random((4, 2))])
def test_flat_or_too_short_curves_have_no_correlation(values):
    found = half_ceilings(_curves(values), 4, np.random.default_rng(0))
    assert np.isnan([found.correlation, found.reliability, found.ceiling]).all()
    assert np.isfinite([found.rms, found.rms_floor]).all()


def test_opposed_halves_have_no_ceiling():
    found = half_ceilings(_curves(np.array([[0.0, 1, 2, 5], [5.0, 2, 1, 1]])), 2, np.random.default_rng(0))
    assert found.correlation < 0
    assert np.isnan(found.ceiling)


@pytest.mark.parametrize(
    ("curves", "n", "error", "message"),
    [
        (_curves(np.ones((1, 5))), 3, NeedsError, "1 subject has values"),
        (_curves(np.array([[1.0, 2], [np.nan, np.nan]])), 3, NeedsError, "1 subject has values"),
        (_curves(np.array([[1.0, np.nan], [np.nan, 1.0]])), 3, NeedsError, "share no point"),
        (_curves(np.ones((3, 5))), 0, ResponsesError, "0 splits"),
        (_curves(np.ones((3, 5))).transpose(), 3, ResponsesError, "dimensions .'step', 'subject'"),
        (_curves(np.ones((3, 5))).rename(step="trial"), 3, ResponsesError, "expected .subject, step"),
    ],
)
def test_wrong_curves(curves, n, error, message):
    with pytest.raises(error, match=message):
        half_ceilings(curves, n, np.random.default_rng(0))
