"""Noise of the stimuli's mean patterns: what is known of it found, what is chance left out."""

import numpy as np
import pytest

from brainalign.metrics.noise_precision import noise_covariance, noise_precision
from brainalign.metrics.stimulus_noise import stimulus_variances


def repeated(deviations, n_units=10, n_repeats=6, seed=0, mixing=None) -> np.ndarray:
    """Patterns with as much noise in each stimulus as is said, of units that may share it."""
    generator = np.random.default_rng(seed)
    n = len(deviations)
    noise = generator.normal(size=(n, n_units, n_repeats)) * np.asarray(deviations)[:, None, None]
    if mixing is not None:
        noise = np.einsum("uv,ivr->iur", mixing, noise)
    return generator.gamma(2, size=(n, n_units, 1)) + noise


def variances(repeats: np.ndarray, normalised: bool = True) -> np.ndarray:
    covariance = noise_covariance(repeats)
    metric = noise_precision(covariance) if normalised else np.eye(repeats.shape[1])
    return stimulus_variances(repeats, covariance, metric)


def test_plenty_of_repeats_give_the_variance_of_each_mean():
    deviations = np.array([1.0, 2.0, 1.0, 3.0, 0.5, 1.5])
    repeats = repeated(deviations, n_repeats=4000)
    np.testing.assert_allclose(variances(repeats, False), deviations**2 / 4000, rtol=0.05)
    relative = variances(repeats)
    np.testing.assert_allclose(relative / relative[0], deviations**2, rtol=0.05)


def test_stimuli_that_differ_by_chance_are_drawn_together():
    repeats = repeated(np.ones(60), n_units=5, n_repeats=4)
    direct = repeats.var(axis=2, ddof=1).mean(axis=1) / 4
    shrunk = variances(repeats, False)
    assert shrunk.std() < 0.35 * direct.std()
    assert shrunk.mean() == pytest.approx(direct.mean(), rel=1e-10)
    np.testing.assert_allclose(shrunk.mean(), 1 / 4, rtol=0.1)


@pytest.mark.parametrize("normalised", [False, True])
def test_is_closer_to_the_truth_than_the_plain_estimate(normalised):
    generator = np.random.default_rng(1)
    deviations = generator.gamma(6, size=60) / 6
    mixing = np.eye(5) + 0.5 * generator.normal(size=(5, 5))
    errors = []
    for seed in range(20):
        repeats = repeated(deviations, n_units=5, n_repeats=4, seed=seed, mixing=mixing)
        metric = np.linalg.inv(mixing @ mixing.T) if normalised else np.eye(5)
        truth = deviations**2 * np.trace(metric @ mixing @ mixing.T) / 5 / 4
        centred = repeats - repeats.mean(axis=2, keepdims=True)
        direct = np.einsum("iur,uv,ivr->i", centred, metric, centred) / 5 / 3 / 4
        shrunk = stimulus_variances(repeats, noise_covariance(repeats), metric)
        equal = np.full(60, direct.mean())
        errors.append([np.mean((found - truth) ** 2) for found in (shrunk, direct, equal)])
    ours, direct, equal = np.mean(errors, axis=0)
    assert ours < 0.9 * direct and ours < 0.9 * equal


def test_more_repeats_make_a_mean_less_noisy_and_one_has_the_mean_variance():
    repeats = repeated(np.ones(40), n_units=20, n_repeats=8)
    repeats[:10, :, 2:] = np.nan
    repeats[10, :, 1:] = np.nan
    found = variances(repeats, False)
    np.testing.assert_allclose(found[:10].mean() / found[11:].mean(), 4.0, rtol=0.15)
    np.testing.assert_allclose(found[10], np.mean(found[11:]) * 8, rtol=0.1)
    assert (found > 0).all()


def test_scale_of_the_responses_only_scales_it():
    repeats = repeated(np.linspace(1, 2, 15))
    np.testing.assert_allclose(variances(1e3 * repeats, False), 1e6 * variances(repeats, False), rtol=1e-10)
    np.testing.assert_allclose(variances(1e3 * repeats), variances(repeats), rtol=1e-8)


def test_a_single_repeated_stimulus_tells_none_apart():
    repeats = repeated(np.ones(12))
    repeats[1:, :, 1:] = np.nan
    found = variances(repeats, False)
    np.testing.assert_allclose(found, found[1] * np.array([1 / 6] + [1.0] * 11))


def test_units_may_miss_repeats_of_their_own():
    deviations = np.repeat([1.0, 2.0], 30)
    repeats = repeated(deviations, n_units=12, n_repeats=8)
    repeats[np.random.default_rng(2).random(repeats.shape) < 0.25] = np.nan
    found = variances(repeats, False)
    np.testing.assert_allclose([found[:30].mean(), found[30:].mean()], [1 / 6, 4 / 6], rtol=0.15)
