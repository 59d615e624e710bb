"""Split-half reliability against a naive loop, against simulations whose answer is known, and its limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainalign.errors import NeedsError, ResponsesError
from brainalign.metrics.reliability import spearman_brown, split_half_reliability, split_halves


def _simulated(n_stimuli=60, n_units=7, n_repeats=6, missing=0.3, seed=0):
    generator = np.random.default_rng(seed)
    tuning = generator.normal(size=(n_stimuli, n_units, 1))
    responses = tuning + generator.normal(size=(n_stimuli, n_units, n_repeats))
    responses[generator.random(responses.shape) < missing] = np.nan
    return responses


def _naive_halves(responses, generator):
    n_stimuli, n_units, n_repeats = responses.shape
    order = generator.random((n_stimuli, 1, n_repeats))
    extra = generator.integers(2, size=(n_stimuli, 1))
    halves = np.full((2, n_stimuli, n_units), np.nan)
    for s in range(n_stimuli):
        for u in range(n_units):
            valid = [r for r in range(n_repeats) if not np.isnan(responses[s, u, r])]
            if len(valid) < 2:
                continue
            valid.sort(key=lambda r: order[s, 0, r])
            cut = len(valid) // 2 + (len(valid) % 2) * extra[s, 0]
            halves[0, s, u] = np.mean([responses[s, u, r] for r in valid[:cut]])
            halves[1, s, u] = np.mean([responses[s, u, r] for r in valid[cut:]])
    return halves


@pytest.mark.parametrize("missing", [0.0, 0.3, 0.6])
def test_halves_equal_a_naive_loop(missing):
    responses = _simulated(missing=missing)
    first, second = split_halves(responses, np.random.default_rng(3))
    np.testing.assert_allclose([first, second], _naive_halves(responses, np.random.default_rng(3)), atol=1e-12)


@pytest.mark.parametrize("missing", [0.0, 0.3, 0.6])
def test_reliability_equals_a_naive_loop(missing):
    responses = _simulated(missing=missing)
    generator = np.random.default_rng(5)
    correlations = np.zeros((4, responses.shape[1]))
    for split in range(4):
        first, second = _naive_halves(responses, generator)
        for unit in range(responses.shape[1]):
            known = np.isfinite(first[:, unit])
            correlations[split, unit] = np.corrcoef(first[known, unit], second[known, unit])[0, 1]
    mean = correlations.mean(axis=0)
    reliability = split_half_reliability(responses, 4, np.random.default_rng(5))
    np.testing.assert_allclose(reliability, 2 * mean / (1 + mean), atol=1e-12)


@pytest.mark.parametrize(("noise", "n_repeats"), [(1.0, 2), (1.0, 5), (3.0, 10)])
def test_known_reliability_is_recovered(noise, n_repeats):
    generator = np.random.default_rng(0)
    tuning = generator.normal(size=(3000, 20, 1))
    responses = tuning + noise * generator.normal(size=(3000, 20, n_repeats))
    true = 1 / (1 + noise**2 / n_repeats)
    reliability = split_half_reliability(responses, 10, generator)
    # The standard error of a mean over 20 units of 3000 stimuli is about 0.003.
    assert np.mean(reliability) == pytest.approx(true, abs=0.01)
    # It is the squared correlation of the mean over repeats with the tuning, unit by unit.
    measured = responses.mean(axis=-1)
    squared = [np.corrcoef(measured[:, u], tuning[:, u, 0])[0, 1] ** 2 for u in range(20)]
    assert np.mean(reliability) == pytest.approx(np.mean(squared), abs=0.01)


def test_unrelated_repeats_are_not_reliable():
    noise = np.random.default_rng(0).normal(size=(2000, 50, 6))
    reliability = split_half_reliability(noise, 10, np.random.default_rng(1))
    assert abs(np.mean(reliability)) < 0.01


def test_a_presentation_falls_into_one_half_for_all_units():
    generator = np.random.default_rng(0)
    shared_noise = generator.normal(size=(500, 1, 8))
    responses = np.repeat(shared_noise, 2, axis=1)
    missing = generator.random((500, 1, 8)) < 0.3
    responses[np.repeat(missing, 2, axis=1)] = np.nan
    first, second = split_halves(responses, generator)
    known = np.isfinite(first[:, 0])
    np.testing.assert_array_equal(first[:, 0], first[:, 1])
    # Noise alone: the two halves of one unit, or of two units, share nothing.
    assert abs(np.corrcoef(first[known, 0], second[known, 1])[0, 1]) < 0.15


@settings(max_examples=50)
@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_every_valid_repeat_is_used_once(n_repeats, seed):
    generator = np.random.default_rng(seed)
    responses = generator.integers(0, 50, size=(5, 3, n_repeats)).astype(float)
    responses[generator.random(responses.shape) < 0.3] = np.nan
    n_valid = np.isfinite(responses).sum(axis=-1)
    if not (n_valid >= 2).any():
        with pytest.raises(NeedsError, match="two valid repeats"):
            split_halves(responses, generator)
        return
    first, second = split_halves(responses, generator)
    total = np.nansum(responses, axis=-1)
    smaller, larger = n_valid // 2, n_valid - n_valid // 2
    matches = np.isclose(smaller * first + larger * second, total) | np.isclose(
        larger * first + smaller * second, total
    )
    np.testing.assert_array_equal(matches, n_valid >= 2)
    np.testing.assert_array_equal(np.isnan(first), n_valid < 2)
    np.testing.assert_array_equal(np.isnan(second), n_valid < 2)


def test_the_odd_repeat_goes_to_either_half():
    # With repeats 0, 0, 1 the half of one repeat has mean 0 or 1, the half of two has 0 or 1/2.
    responses = np.tile([0.0, 0.0, 1.0], (4000, 1, 1))
    first, _ = split_halves(responses, np.random.default_rng(0))
    shares = [np.mean(np.isclose(first, value)) for value in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(shares, [1 / 2, 1 / 3, 1 / 6], atol=0.03)


def test_missing_repeats_of_one_unit_leave_the_others_alone():
    responses = _simulated(missing=0)
    full = split_half_reliability(responses, 3, np.random.default_rng(0))
    responses[:, 0, 4:] = np.nan
    partial = split_half_reliability(responses, 3, np.random.default_rng(0))
    np.testing.assert_allclose(partial[1:], full[1:], atol=1e-12)
    assert partial[0] != pytest.approx(full[0], abs=1e-6)


def test_scale_shift_and_order_of_units_do_not_matter():
    responses = _simulated()
    plain = split_half_reliability(responses, 5, np.random.default_rng(0))
    changed = split_half_reliability(3 * responses[:, ::-1] + 1000, 5, np.random.default_rng(0))
    np.testing.assert_allclose(changed[::-1], plain, atol=1e-9)


def test_same_seed_same_bytes_and_the_callers_array_is_left_alone():
    responses = _simulated()
    before = responses.copy()
    one, two = (split_half_reliability(responses, 5, np.random.default_rng(0)) for _ in range(2))
    assert one.tobytes() == two.tobytes()
    np.testing.assert_array_equal(responses, before)


def test_single_precision_is_summed_in_double():
    responses = _simulated().astype(np.float32)
    reliability = split_half_reliability(responses, 5, np.random.default_rng(0))
    double = split_half_reliability(responses.astype(np.float64), 5, np.random.default_rng(0))
    assert reliability.dtype == np.float64
    np.testing.assert_allclose(reliability, double, atol=1e-6)


def test_units_that_cannot_be_judged_are_nan():
    responses = _simulated(missing=0)
    responses[:, 0] = 0.1  # never varies, though 0.1 averages to a hair more or less than 0.1
    responses[:, 1] = np.nan  # never recorded
    responses[2:, 2] = np.nan  # two stimuli
    responses[2:, 3, 1:] = np.nan  # two stimuli with repeats
    reliability = split_half_reliability(responses, 5, np.random.default_rng(0))
    assert np.isnan(reliability[:4]).all()
    assert np.isfinite(reliability[4:]).all()


def test_two_spikes_to_one_stimulus_are_no_reliability():
    responses = np.zeros((20, 1, 6))
    responses[4, 0, [1, 3]] = 1
    assert np.isnan(split_half_reliability(responses, 20, np.random.default_rng(0))).all()


def test_no_repeats_and_no_splits_are_refused():
    responses = _simulated()
    with pytest.raises(NeedsError, match="no halves to compare"):
        split_half_reliability(responses[:, :, :1], 5, np.random.default_rng(0))
    with pytest.raises(ResponsesError, match="n_splits is 0"):
        split_half_reliability(responses, 0, np.random.default_rng(0))


def test_spearman_brown_at_its_limits():
    np.testing.assert_array_equal(spearman_brown(np.array([-1.0, 0.0, 1.0])), [-np.inf, 0.0, 1.0])
