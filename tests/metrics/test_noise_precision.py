"""Noise covariances and their inverses against rsatoolbox and scikit-learn, in their limits, and with holes."""

import numpy as np
import pytest
from rsatoolbox.data import Dataset
from rsatoolbox.data.noise import cov_from_measurements, cov_from_unbalanced, prec_from_unbalanced
from sklearn.covariance import ledoit_wolf

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics.noise_precision import (
    SHRINKAGES,
    find_shrinkage,
    noise_covariance,
    noise_precision,
    residuals,
    units_with_noise,
)

RSATOOLBOX_NAMES = {"diagonal": "shrinkage_diag", "identity": "shrinkage_eye"}


def repeated(n_stimuli=12, n_units=6, n_repeats=5, seed=0, missing=False) -> np.ndarray:
    """Patterns with noise that units share; where asked for, whole presentations are missing anywhere."""
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(n_units, n_units)) * generator.gamma(2, size=n_units)
    noise = np.einsum("uv,ivr->iur", mixing, generator.normal(size=(n_stimuli, n_units, n_repeats)))
    values = 20 * generator.gamma(2, size=(n_stimuli, n_units, 1)) + noise
    if missing:
        for row in values:
            n_gone = generator.integers(0, n_repeats)
            row[:, generator.permutation(n_repeats)[:n_gone]] = np.nan
    return values


def dataset(repeats: np.ndarray) -> Dataset:
    """Give each presentation that was held as an observation."""
    by_presentation = repeats.transpose(0, 2, 1)
    held = ~np.isnan(by_presentation).any(axis=2)
    return Dataset(by_presentation[held], obs_descriptors={"stimulus": np.nonzero(held)[0].tolist()})


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("n_units", [2, 6, 80])
@pytest.mark.parametrize("shrinkage", SHRINKAGES)
def test_equals_rsatoolbox(shrinkage, n_units, missing):
    # Of 12 stimuli with five repeats there are at most 48 degrees of freedom.
    repeats = repeated(n_units=n_units, missing=missing)
    covariance, name = noise_covariance(repeats, shrinkage), RSATOOLBOX_NAMES[shrinkage]
    expected = cov_from_unbalanced(dataset(repeats), "stimulus", method=name)
    np.testing.assert_allclose(covariance, expected, rtol=0, atol=1e-12 * expected.max())
    inverse = prec_from_unbalanced(dataset(repeats), "stimulus", method=name)
    np.testing.assert_allclose(noise_precision(covariance), inverse, rtol=0, atol=1e-10 * inverse.max())


@pytest.mark.parametrize("shrinkage", SHRINKAGES)
def test_of_balanced_repeats_equals_rsatoolboxs_of_measurements(shrinkage):
    repeats = repeated()
    # Left to itself it counts (stimuli − 1) · repeats degrees of freedom, not stimuli · (repeats − 1).
    name = RSATOOLBOX_NAMES[shrinkage]
    expected = cov_from_measurements(dataset(repeats), "stimulus", dof=12 * 4, method=name)
    np.testing.assert_allclose(noise_covariance(repeats, shrinkage), expected, rtol=1e-10)


def test_identity_is_ledoit_and_wolfs():
    repeats = repeated(missing=True)
    values = residuals(repeats).transpose(0, 2, 1)[~np.isnan(repeats[:, 0])]
    expected, share = ledoit_wolf(values, assume_centered=True)
    freedom = len(values) - len(repeats)
    assert 0.01 < share < 0.99
    found = noise_covariance(repeats, "identity")
    np.testing.assert_allclose(found, expected * len(values) / freedom, rtol=1e-10)


def test_many_repeats_leave_nothing_to_shrink():
    mixing = np.array([[1.0, 0.0, 0.0], [0.8, 1.0, 0.0], [0.0, -0.5, 2.0]])
    noise = np.einsum("uv,ivr->iur", mixing, np.random.default_rng(0).normal(size=(50, 3, 2000)))
    for shrinkage in SHRINKAGES:
        covariance = noise_covariance(noise + np.arange(50.0)[:, None, None], shrinkage)
        np.testing.assert_allclose(covariance, mixing @ mixing.T, atol=0.05)
        np.testing.assert_allclose(noise_precision(covariance) @ mixing @ mixing.T, np.eye(3), atol=0.03)


def test_independent_units_lose_their_chance_correlations():
    noise = np.random.default_rng(1).normal(size=(10, 30, 3)) * np.arange(1.0, 31.0)[:, None]
    sample = np.einsum("iur,ivr->uv", residuals(noise), residuals(noise)) / 20
    shrunk = noise_covariance(noise)
    np.testing.assert_allclose(np.diagonal(shrunk), np.diagonal(sample), rtol=1e-12)
    others = ~np.eye(30, dtype=bool)
    assert np.abs(shrunk[others]).sum() < 0.15 * np.abs(sample[others]).sum()


def test_each_unit_may_miss_repeats_of_its_own():
    repeats = repeated(200, 5, 6, seed=3)
    whole = noise_covariance(repeats)
    holes = repeats.copy()
    holes[np.random.default_rng(4).random(holes.shape) < 0.3] = np.nan
    found = noise_covariance(holes)
    # Variances have no bias, and covariances a known one, towards zero.
    np.testing.assert_allclose(np.diagonal(found), np.diagonal(whole), rtol=0.15)
    assert np.linalg.eigvalsh(found).min() > 0
    others = ~np.eye(5, dtype=bool)
    slope = (found[others] * whole[others]).sum() / (whole[others] ** 2).sum()
    assert 0.5 < slope < 0.95


def test_units_never_recorded_together_share_no_noise():
    repeats = repeated(40, 4, 8, seed=5)
    repeats[:, :2, 4:] = np.nan
    repeats[:, 2:, :4] = np.nan
    covariance = noise_covariance(repeats)
    np.testing.assert_array_equal(covariance[:2, 2:], 0.0)
    for units, kept in ((slice(2), slice(4)), (slice(2, 4), slice(4, 8))):
        alone = noise_covariance(repeats[:, units, kept])
        np.testing.assert_allclose(np.diagonal(covariance)[units], np.diagonal(alone), rtol=1e-12)


def test_order_and_place_of_repeats_do_not_matter():
    repeats = repeated(missing=True)
    generator = np.random.default_rng(6)
    shuffled = np.stack([row[:, generator.permutation(5)] for row in repeats])[generator.permutation(12)]
    np.testing.assert_allclose(noise_covariance(shuffled), noise_covariance(repeats), rtol=1e-10)


@pytest.mark.parametrize("shrinkage", SHRINKAGES)
def test_units_of_any_scale_invert(shrinkage):
    repeats = repeated() * np.logspace(-6, 6, 6)[:, None]
    covariance = noise_covariance(repeats, shrinkage)
    scale = np.sqrt(np.outer(np.diagonal(covariance), np.diagonal(covariance)))
    inverse = noise_precision(covariance) * scale
    np.testing.assert_allclose(inverse @ (covariance / scale), np.eye(6), atol=1e-10)


def test_one_unit_is_its_own_variance():
    repeats = repeated(n_units=1)
    variance = repeats.var(axis=2, ddof=1).mean()
    for shrinkage in SHRINKAGES:
        np.testing.assert_allclose(noise_covariance(repeats, shrinkage), [[variance]])


def test_units_without_noise_are_marked_and_refused():
    repeats = repeated(n_units=4)
    repeats[:, 1] = np.arange(12.0)[:, None] + 0.1
    repeats[:, 2, 1:] = np.nan
    assert units_with_noise(repeats).tolist() == [True, False, False, True]
    with pytest.raises(ResponsesError, match=r"2 of 4 units have no two repeats .* that differ \(index 1, 2\)"):
        noise_covariance(repeats)
    with pytest.raises(ResponsesError, match="0 of 0 units"):
        noise_covariance(repeats[:, :0])


def test_one_repeat_of_everything_has_no_noise():
    assert not units_with_noise(repeated(n_repeats=1)).any()


def test_what_shrinking_cannot_save_is_refused():
    # One pair of repeats is one degree of freedom; its two residuals are mirror images.
    repeats = repeated(n_stimuli=1, n_units=3, n_repeats=2)
    with pytest.raises(ResponsesError, match="noise covariance of 3 units cannot be inverted.*more repeats"):
        noise_precision(noise_covariance(repeats))


def test_callers_array_stays_as_it_is():
    repeats = repeated(missing=True)
    kept = repeats.copy()
    noise_covariance(repeats)
    np.testing.assert_array_equal(repeats, kept)


def test_unknown_shrinkage_shows_the_closest():
    assert find_shrinkage("diagonal") == "diagonal"
    with pytest.raises(UnknownNameError, match="Did you mean 'identity'"):
        noise_covariance(repeated(), "identy")
