"""Random trajectories keep covariance and smoothness and nothing else; plain CCA scores them by half."""

import numpy as np
import pytest
import scipy.io

from brainalign.errors import ResponsesError
from brainalign.metrics.smooth_chance import SmoothProcess, smooth_chance, smooth_chance_of_dynamics
from brainalign.metrics.trajectory_canonical import TrajectoryCcaKernel, fitted_cca
from brainalign.metrics.trajectory_procrustes import TrajectoryProcrustesKernel

TIMES = np.arange(61) / 100
EXAMPLE = (
    "raw.githubusercontent.com/gamaleldin/TME/ad1adf835e72dbba012406b5a3af30701adc8993/data/exampleData.mat"
)


class FittedCca:
    """Canonical correlation in ten dimensions, in the conditions that it is fitted on."""

    def compare(self, model, brain, times, rng):
        return fitted_cca(model, brain, times)


def correlated(smooth, rng) -> np.ndarray:
    """A slow and a fast process in six units, with a mean over conditions."""
    slow, fast = smooth(rng, conditions=40, units=2, width=0.1), smooth(rng, conditions=40, units=2, width=0.02)
    mixed = 3 * slow @ rng.normal(size=(2, 6)) + fast @ rng.normal(size=(2, 6))
    return mixed + np.sin(10 * TIMES)[:, None] + np.arange(6)


def test_draws_keep_mean_covariance_and_autocovariance(smooth):
    rng = np.random.default_rng(0)
    model = correlated(smooth, rng)
    process = SmoothProcess.fit(model, TIMES)
    draws = np.stack([process.draw(rng) for _ in range(300)])
    scale = np.abs(model).max()
    np.testing.assert_allclose(draws.mean(axis=(0, 1)), model.mean(axis=0), atol=0.02 * scale)
    deviations = draws - model.mean(axis=0)
    own = (model - model.mean(axis=0)) * np.sqrt(40 / 39)
    covariance = np.einsum("ctu,ctv->uv", own, own) / (40 * 61)
    drawn = np.einsum("dctu,dctv->uv", deviations, deviations) / (300 * 40 * 61)
    np.testing.assert_allclose(drawn, covariance, atol=0.02 * covariance.max())
    axes = process.axes
    for lag in (1, 3, 6, 12):
        wanted, found = (
            np.mean((each @ axes.T)[..., lag:, :] * (each @ axes.T)[..., :-lag, :], axis=axis)
            for each, axis in ((own, (0, 1)), (deviations, (0, 1, 2)))
        )
        variance = np.mean((own @ axes.T) ** 2, axis=(0, 1))
        np.testing.assert_allclose(found / variance, wanted / variance, atol=0.03)


def test_components_keep_their_own_smoothness(smooth):
    rng = np.random.default_rng(1)
    model = np.concatenate(
        [3 * smooth(rng, 40, units=1, width=0.1), smooth(rng, 40, units=1, width=0.02)], axis=2
    )
    drawn = np.concatenate([SmoothProcess.fit(model, TIMES).draw(rng) for _ in range(20)])
    steps = np.mean(np.diff(drawn, axis=1) ** 2, axis=(0, 1)) / drawn.var(axis=(0, 1))
    wanted = np.mean(np.diff(model, axis=1) ** 2, axis=(0, 1)) / model.var(axis=(0, 1))
    np.testing.assert_allclose(steps, wanted, rtol=0.15)
    assert wanted[1] > 10 * wanted[0]


def test_conditions_are_independent_of_the_models_and_of_each_other(smooth):
    rng = np.random.default_rng(2)
    model = correlated(smooth, rng)
    own = (model - model.mean(axis=0)).reshape(40, -1)
    process = SmoothProcess.fit(model, TIMES)
    drawn = np.stack([process.draw(rng) - process.mean for _ in range(200)]).reshape(200, 40, -1)
    with_model = np.einsum("dcx,cx->d", drawn, own) / (own**2).sum()
    neighbours = np.einsum("dx,dx->d", drawn[:, 0], drawn[:, 1]) / (own**2).sum()
    for values in (with_model, neighbours):
        assert abs(values.mean()) < 3 * values.std() / np.sqrt(200)


def test_planted_structure_is_above_chance_and_unrelated_is_not(smooth):
    rng = np.random.default_rng(3)
    model = smooth(rng, width=0.07)
    brain = model @ rng.normal(size=(10, 12)) + smooth(rng, units=12, width=0.07)
    kernel = TrajectoryCcaKernel(5)
    chance = smooth_chance(kernel, model, brain, TIMES, 40, rng)
    assert kernel.compare(model, brain, TIMES, rng) > chance.max()
    ranks = []
    for _ in range(20):
        other = smooth(rng, width=0.07)
        ranks.append(
            np.mean(
                smooth_chance(kernel, other, brain, TIMES, 19, rng) >= kernel.compare(other, brain, TIMES, rng)
            )
        )
    # Ranks of unrelated models are uniform: mean 1/2, standard deviation of the mean of twenty 0.065.
    assert abs(np.mean(ranks) - 0.5) < 0.2


def test_chance_of_the_fitted_value_is_far_above_zero_and_of_the_held_out_one_is_not(smooth):
    rng = np.random.default_rng(4)
    model, brain = smooth(rng, width=0.1), smooth(rng, width=0.1)
    fitted = smooth_chance(FittedCca(), model, brain, TIMES, 40, rng)
    assert fitted.min() > 0.3
    held_out = [
        smooth_chance(k, model, brain, TIMES, 40, rng)
        for k in (TrajectoryCcaKernel(), TrajectoryProcrustesKernel())
    ]
    for values in held_out:
        assert abs(values.mean()) < 0.1


@pytest.mark.data
def test_trajectories_as_smooth_as_motor_cortex_correlate_by_half_in_ten_dimensions(mirror):
    # Reaches of Churchland et al. 2012: 61 times × 50 units × 10 conditions.
    brain = scipy.io.loadmat(mirror / EXAMPLE)["dataTensor"].transpose(2, 0, 1)
    assert brain.shape == (10, 61, 50)
    rng = np.random.default_rng(5)
    fitted = smooth_chance(FittedCca(), brain, brain, TIMES, 40, rng)
    # A little above the 0.46 of stationary processes: cortex and draws are large at the same times, too.
    assert 0.4 < fitted.mean() < 0.55
    held_out = smooth_chance(TrajectoryCcaKernel(), brain, brain, TIMES, 40, rng)
    assert abs(held_out.mean()) < 3 * held_out.std() / np.sqrt(40) < 0.04


def test_dynamics_are_measured_on_draws(smooth):
    class Speed:
        def value(self, trajectories, times, rng):
            return float(np.mean(np.diff(trajectories, axis=1) ** 2))

    rng = np.random.default_rng(6)
    model = smooth(rng, conditions=40)
    values = smooth_chance_of_dynamics(Speed(), model, TIMES, 20, rng)
    assert values.shape == (20,) and len(np.unique(values)) == 20
    assert values.mean() == pytest.approx(Speed().value(model, TIMES, rng), rel=0.1)


def test_bad_input_raises(smooth):
    rng = np.random.default_rng(7)
    x, kernel = smooth(rng), TrajectoryCcaKernel()
    with pytest.raises(ResponsesError, match="one condition, which is its own mean"):
        SmoothProcess.fit(x[:1], TIMES)
    with pytest.raises(ResponsesError, match="equal steps"):
        SmoothProcess.fit(x, TIMES**2)
    with pytest.raises(ResponsesError, match="same conditions and times"):
        smooth_chance(kernel, x, x[:, :30], TIMES, 2, rng)
