"""Ridge with a lag: against scikit-learn, planted lags found, other conditions at chance."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics.lagged_predictivity import LaggedRidgeKernel, column_r2, ridge_lagged, ridge_predictions

TIMES = np.arange(61) / 100


@pytest.mark.parametrize(("n", "p"), [(80, 10), (20, 50)])
def test_predictions_are_scikit_learns(n, p):
    rng = np.random.default_rng(0)
    x, y, test = rng.normal(size=(n, p)), rng.normal(size=(n, 3)), rng.normal(size=(7, p))
    alphas = np.array([0.1, 3.0, 100.0])
    for alpha, found in zip(alphas, ridge_predictions(x, y, test, alphas), strict=True):
        theirs = Ridge(alpha=alpha, fit_intercept=False).fit(x, y).predict(test)
        np.testing.assert_allclose(found, theirs, atol=1e-10)


def test_r2_is_one_less_the_share_missed_and_nan_of_a_constant():
    y = np.array([[0.0, 1.0], [2.0, 1.0]])
    np.testing.assert_allclose(column_r2(np.array([[0.5, 1.0], [2.0, 1.0]]), y), [0.875, np.nan])


@pytest.mark.parametrize("lag", [-6, 0, 4])
def test_planted_lag_is_found(smooth, lag):
    rng = np.random.default_rng(1)
    long = smooth(rng, times=81, units=6)
    x = long[:, 10:71]
    y = long[:, 10 - lag : 71 - lag] @ rng.normal(size=(6, 8)) + 0.3 * rng.normal(size=(10, 61, 8))
    kernel = LaggedRidgeKernel()
    lags, profile = kernel.profile(x, y, TIMES, np.random.default_rng(2))
    np.testing.assert_allclose(lags, np.arange(-100, 101, 20), atol=1e-9)
    assert lags[np.argmax(profile)] == pytest.approx(10 * lag)
    # Every fold chooses it on its training conditions, and so the value is the profile's.
    assert kernel.compare(x, y, TIMES, np.random.default_rng(2)) == pytest.approx(profile.max())
    assert profile.max() > 0.9
    assert LaggedRidgeKernel(score="r2").compare(x, y, TIMES, rng) > 0.8


def test_at_lag_zero_it_is_ridge_on_held_out_conditions(smooth):
    rng = np.random.default_rng(3)
    x, y = smooth(rng, conditions=6, units=3), smooth(rng, conditions=6, units=2)
    y += x[:, :, :2]
    kernel = LaggedRidgeKernel(max_lag=0.0, max_lead=0.0, n_folds=2, n_alphas=1)
    order, found = np.random.default_rng(4).permutation(6), []
    for test, train in ((order[:3], order[3:]), (order[3:], order[:3])):
        (a, a_test), (b, b_test) = (
            [(side[part] - side[train].mean(axis=0)).reshape(-1, side.shape[2]) for part in (train, test)]
            for side in (x, y)
        )
        alpha = 1e-5 * np.mean(np.sum(a**2, axis=1))
        predicted = Ridge(alpha=alpha, fit_intercept=False).fit(a, b).predict(a_test)
        found.append(np.median([np.corrcoef(predicted[:, u], b_test[:, u])[0, 1] for u in range(2)]))
    assert kernel.compare(x, y, TIMES, np.random.default_rng(4)) == pytest.approx(np.mean(found), abs=1e-10)


def test_rotation_scale_and_offset_of_the_model_change_nothing(smooth):
    rng = np.random.default_rng(5)
    x = smooth(rng, units=5)
    y = x @ rng.normal(size=(5, 4)) + smooth(rng, units=4)
    moved = 1e3 * x @ np.linalg.qr(rng.normal(size=(5, 5)))[0] + 7.0
    value, same = (LaggedRidgeKernel().compare(each, y, TIMES, np.random.default_rng(0)) for each in (x, moved))
    assert same == pytest.approx(value, abs=1e-9)


def test_unrelated_trajectories_are_at_chance(smooth):
    rng = np.random.default_rng(6)
    kernel = LaggedRidgeKernel(lag_step=50.0, n_folds=4)
    values = [kernel.compare(smooth(rng), smooth(rng), TIMES, rng) for _ in range(30)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(30) < 0.06


def test_constant_units_are_left_out(smooth):
    rng = np.random.default_rng(7)
    x = smooth(rng, units=3)
    y = np.concatenate([x, np.full((10, 61, 9), 1e6 / 3)], axis=2)
    assert LaggedRidgeKernel(max_lag=20.0, max_lead=0.0).compare(x, y, TIMES, rng) > 0.99
    assert np.isnan(
        LaggedRidgeKernel(max_lag=20.0, max_lead=0.0).compare(x, np.full_like(x, 1e6 / 3), TIMES, rng)
    )


def test_bad_input_raises(smooth):
    rng = np.random.default_rng(8)
    x = smooth(rng)
    with pytest.raises(UnknownNameError, match="score of ridge_lagged"):
        ridge_lagged(score="pearson_r")
    with pytest.raises(
        ResponsesError, match="lags from -300 to 300 ms in trajectories of 610 ms.*lower max_lag"
    ):
        LaggedRidgeKernel(300.0, 300.0).compare(x[:, :61], x, TIMES, rng)
    with pytest.raises(ResponsesError, match="same conditions and times"):
        LaggedRidgeKernel().compare(x[:5], x, TIMES, rng)
    with pytest.raises(ResponsesError, match="equal steps"):
        LaggedRidgeKernel().compare(x, x, TIMES**2, rng)
