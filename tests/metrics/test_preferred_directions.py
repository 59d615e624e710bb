"""Preferred directions that are known, and distributions that are even, one-sided or along an axis."""

import numpy as np
import pytest

from brainalign.errors import ResponsesError
from brainalign.metrics.preferred_directions import bimodality, cosine_tuning, rayleigh_test

EIGHT = np.arange(0.0, 360.0, 45.0)


def rates(preferred: np.ndarray, depth: np.ndarray, angles: np.ndarray) -> np.ndarray:
    return 12 + depth * np.cos(np.deg2rad(angles[:, None] - preferred))


@pytest.mark.parametrize("angles", [EIGHT, np.array([0.0, 10, 95, 200, 201]), np.array([5.0, 125, 245])])
def test_cosine_tuning_is_found_exactly_at_any_angles(angles):
    preferred, depth = np.array([0.0, 33, 180, 359]), np.array([1.0, 5, 2, 0.1])
    found = cosine_tuning(rates(preferred, depth, angles), angles)
    apart = (found.preferred - preferred + 180) % 360 - 180
    np.testing.assert_allclose(apart, 0, atol=1e-8)
    np.testing.assert_allclose(found.depth, depth, rtol=1e-8)
    np.testing.assert_allclose(found.baseline, 12, rtol=1e-10)
    np.testing.assert_allclose(found.r2, 1, atol=1e-10)


def test_evenly_spaced_angles_give_the_population_vector():
    generator = np.random.default_rng(0)
    noisy = generator.normal(size=(8, 50))
    vector = (noisy * np.exp(1j * np.deg2rad(EIGHT))[:, None]).sum(axis=0)
    found = cosine_tuning(noisy, EIGHT)
    np.testing.assert_allclose(found.preferred, np.rad2deg(np.angle(vector)) % 360, atol=1e-9)
    np.testing.assert_allclose(found.depth, np.abs(vector) / 4, rtol=1e-10)
    # Two of the seven degrees of freedom of noise are cosine and sine.
    assert found.r2.mean() == pytest.approx(2 / 7, abs=0.08)


def test_a_unit_that_does_not_vary_has_no_preferred_direction():
    constant = np.full((8, 2), 1e6 / 3)
    constant[:, 1] = rates(np.array([70.0]), np.array([3.0]), EIGHT)[:, 0]
    found = cosine_tuning(constant, EIGHT)
    assert np.isnan(found.preferred[0]) and np.isnan(found.r2[0])
    assert found.preferred[1] == pytest.approx(70)


def test_rates_that_cannot_be_fitted_say_why():
    with pytest.raises(ResponsesError, match=r"rates of shape \(8, 3\) and angles of shape \(7,\)"):
        cosine_tuning(np.ones((8, 3)), EIGHT[1:])
    with pytest.raises(ResponsesError, match="of 2 directions; give three or more"):
        cosine_tuning(np.ones((4, 3)), np.array([0.0, 180, 360, 540]))
    broken = np.ones((8, 3))
    broken[0, 0] = np.nan
    with pytest.raises(ResponsesError, match="NaN or infinite rates"):
        cosine_tuning(broken, EIGHT)


@pytest.mark.parametrize("fold", [1, 2])
@pytest.mark.parametrize("n", [10, 60])
def test_under_even_spread_p_is_a_probability(n, fold):
    generator = np.random.default_rng(n)
    ps = np.array([rayleigh_test(generator.uniform(0, 360, n), fold).p for _ in range(4000)])
    for level in (0.05, 0.2, 0.5):
        assert np.mean(ps <= level) == pytest.approx(level, abs=5 * np.sqrt(level * (1 - level) / 4000))


def test_two_opposite_modes_are_along_an_axis_and_in_no_direction():
    generator = np.random.default_rng(1)
    angles = np.rad2deg(generator.vonmises(np.deg2rad(120), 3, 100)) + 180 * generator.integers(0, 2, 100)
    found = bimodality(angles)
    assert found.axis.p < 1e-6 and found.direction.p > 0.01 and found.difference > 0.3
    assert found.axis.direction == pytest.approx(120, abs=10)


def test_one_mode_is_a_direction_more_than_an_axis():
    angles = np.rad2deg(np.random.default_rng(2).vonmises(np.deg2rad(-30), 2, 100))
    found = bimodality(angles)
    assert found.direction.p < 1e-6 and found.difference < 0
    assert found.direction.direction == pytest.approx(330, abs=10)


def test_four_modes_and_even_spread_are_neither():
    for angles in (np.repeat([0.0, 90, 180, 270], 20), np.arange(0.0, 360, 5)):
        found = bimodality(angles)
        assert found.axis.p > 0.99 and found.direction.p > 0.99
        assert found.axis.resultant == pytest.approx(0, abs=1e-12)


def test_turning_all_turns_the_axis_and_whole_turns_change_nothing():
    angles = np.random.default_rng(3).normal(40, 25, 30) + 180 * np.arange(30) % 360
    found, turned = bimodality(angles).axis, bimodality(angles + 90).axis
    assert turned.direction == pytest.approx((found.direction + 90) % 180)
    assert turned.resultant == pytest.approx(found.resultant, abs=1e-12)
    assert bimodality(angles + 720).axis.p == pytest.approx(found.p, rel=1e-6)


def test_missing_directions_are_left_out_and_few_are_refused():
    angles = np.array([10.0, 20, 30, 40, 50, np.nan])
    assert rayleigh_test(angles).n == 5
    assert rayleigh_test(angles).resultant == pytest.approx(
        np.abs(np.exp(1j * np.deg2rad(angles[:5])).mean()), abs=1e-12
    )
    with pytest.raises(ResponsesError, match="of 4 directions that are no NaN; give 5 or more"):
        bimodality(angles[1:])
