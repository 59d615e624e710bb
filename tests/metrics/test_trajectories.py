"""Preprocessing of trajectories against its formulas and scikit-learn; what is refused."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics.trajectories import (
    Preprocessing,
    check_trajectories,
    in_window,
    read_window,
    reduced,
    soft_normalised,
    standardised,
    states_and_velocities,
    without_condition_mean,
)

TIMES = np.round(np.arange(-0.1, 0.1, 0.01), 6)


def trajectories(n_units: int = 6, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return 10 + generator.normal(size=(5, len(TIMES), n_units)) * np.linspace(1, 9, n_units)


def test_soft_normalisation_and_standardisation_are_their_formulas_unit_by_unit():
    x = trajectories()
    for unit in range(6):
        own = x[:, :, unit]
        np.testing.assert_allclose(
            soft_normalised(x)[:, :, unit], own / (own.max() - own.min() + 5), rtol=1e-14
        )
        np.testing.assert_allclose(standardised(x)[:, :, unit], own / own.std(), rtol=1e-14)


def test_constant_units_are_not_blown_up():
    x = trajectories()
    x[:, :, 2] = 1e6 / 3
    assert np.abs(standardised(x)[:, :, 2] - 1e6 / 3).max() == 0
    assert np.ptp(soft_normalised(x)[:, :, 2]) == 0


def test_without_the_condition_mean_nothing_is_common():
    x = without_condition_mean(trajectories())
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(x[0] - x[1], trajectories()[0] - trajectories()[1], atol=1e-13)


@pytest.mark.parametrize("n_units", [6, 140])
def test_components_are_scikit_learns(n_units):
    x = trajectories(n_units)
    found = reduced(x, 4)
    states = x.reshape(-1, n_units)
    peer = PCA(4, svd_solver="full").fit(states)
    np.testing.assert_allclose(found.shares, peer.explained_variance_ratio_, rtol=1e-10)
    np.testing.assert_allclose(found.axes.T @ found.axes, np.eye(4), atol=1e-12)
    cosines = np.abs((found.axes * peer.components_.T).sum(axis=0))
    np.testing.assert_allclose(cosines, 1, atol=1e-9)
    np.testing.assert_allclose(np.abs(found.scores.reshape(-1, 4)), np.abs(peer.transform(states)), atol=1e-8)


@pytest.mark.parametrize("n_units", [6, 140])
def test_a_batch_is_its_parts(n_units):
    both = np.stack([trajectories(n_units, seed) for seed in (1, 2)])
    prepare = Preprocessing("sd", "-0.05:0.05")
    found = reduced(prepare(both, TIMES), 3)
    for k in range(2):
        alone = reduced(prepare(both[k], TIMES), 3)
        np.testing.assert_allclose(np.abs(found.scores[k]), np.abs(alone.scores), atol=1e-10)
        np.testing.assert_allclose(found.shares[k], alone.shares, rtol=1e-12)


def test_velocities_of_a_sampled_rotation_are_at_right_angles_to_its_points():
    angle = 0.7 * np.arange(9)
    middle, velocity = states_and_velocities(np.stack([np.cos(angle), np.sin(angle)], axis=1)[None], 0.1)
    np.testing.assert_allclose((middle * velocity).sum(axis=1), 0, atol=1e-14)
    np.testing.assert_allclose(np.linalg.norm(velocity, axis=1), 2 * np.sin(0.35) / 0.1, rtol=1e-12)


def test_normalisation_sees_all_times_and_the_window_is_cut_after_it():
    x = trajectories()
    found = Preprocessing("soft", "-0.05:0.05", subtract_mean=False)(x, TIMES)
    np.testing.assert_array_equal(found, soft_normalised(x)[:, 5:16])
    np.testing.assert_array_equal(Preprocessing("none", "all", False)(x, TIMES), x)


def test_windows_hold_both_ends_and_are_read_with_underscores_too():
    assert in_window(TIMES, "-0.1:0.09") == slice(0, 20)
    assert in_window(TIMES, "-0.03:0.02") == slice(7, 13)
    assert read_window("_0.05:0.35") == (-0.05, 0.35)
    with pytest.raises(ResponsesError, match="Window 0.3:0.5 holds 0 of the times from -0.1 to 0.09 s"):
        in_window(TIMES, "0.3:0.5")


@pytest.mark.parametrize("window", ["0.3", "0.3:0.1", "a:b", "0:1:2", "nan:1", ""])
def test_windows_that_are_none_say_how_to_write_one(window):
    with pytest.raises(UnknownNameError, match="write FROM:TO in seconds"):
        Preprocessing(window=window)


def test_bad_input_says_what_was_given():
    x = trajectories()
    for wrong in (x[0], x[:, :1], x[:, :, :0]):
        with pytest.raises(ResponsesError, match=r"jPCA was asked for of an array of shape .*two times"):
            check_trajectories("jPCA", wrong, TIMES)
    with pytest.raises(ResponsesError, match=r"of 20 times, and `times` has shape \(19,\)"):
        check_trajectories("jPCA", x, TIMES[1:])
    for times in (TIMES[::-1], TIMES**3, np.where(TIMES > 0.05, TIMES + 0.01, TIMES)):
        with pytest.raises(ResponsesError, match="give times that rise in equal steps"):
            check_trajectories("jPCA", x, times)
    x[1, 3, 2] = np.nan
    with pytest.raises(ResponsesError, match="of which 1 values in 1 units are NaN or infinite"):
        check_trajectories("jPCA", x, TIMES)
    with pytest.raises(UnknownNameError, match="normalisation of trajectories 'sof'.*Did you mean 'soft'"):
        Preprocessing("sof")
    with pytest.raises(ResponsesError, match="7 components were asked for .* 6 at most"):
        reduced(trajectories(), 7)
    with pytest.raises(ResponsesError, match="One condition is its own mean"):
        Preprocessing()(trajectories()[:1], TIMES)
