"""Procrustes of trajectories against scipy; planted rotations; other conditions at chance."""

import numpy as np
import pytest
import scipy.linalg

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics.trajectory_procrustes import (
    TrajectoryProcrustesKernel,
    fit_rotation,
    procrustes_trajectory,
)

TIMES = np.arange(61) / 100


def test_rotation_and_scale_are_scipys(smooth):
    rng = np.random.default_rng(0)
    x, y = (smooth(rng, units=5).reshape(-1, 5) for _ in range(2))
    rotation, scale = fit_rotation(x, y)
    theirs, total = scipy.linalg.orthogonal_procrustes(x, y)
    np.testing.assert_allclose(rotation, theirs, atol=1e-10)
    assert scale == pytest.approx(total / np.sum(x**2))
    # No other scale is better.
    errors = [np.sum((y - s * x @ rotation) ** 2) for s in (scale, 0.99 * scale, 1.01 * scale)]
    assert np.argmin(errors) == 0


def test_narrower_side_is_as_if_padded_with_zeros(smooth):
    rng = np.random.default_rng(1)
    x, y = smooth(rng, units=3), smooth(rng, units=5)
    y[:, :, :3] += x
    padded = np.pad(x, ((0, 0), (0, 0), (0, 2)))
    for measure in ("cosine", "r2"):
        kernel = TrajectoryProcrustesKernel(measure)
        for one, other, wide, same in ((x, y, padded, y), (y, x, y, padded)):
            value = kernel.compare(one, other, TIMES, np.random.default_rng(0))
            assert kernel.compare(wide, same, TIMES, np.random.default_rng(0)) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("measure", ["cosine", "r2"])
def test_rotated_scaled_and_moved_is_one(smooth, measure):
    rng = np.random.default_rng(2)
    x = smooth(rng, units=6)
    y = 0.3 * x @ np.linalg.qr(rng.normal(size=(6, 6)))[0] + rng.normal(size=6)
    assert TrajectoryProcrustesKernel(measure).compare(x, y, TIMES, rng) == pytest.approx(1, abs=1e-9)
    # A general linear map is no rotation.
    assert TrajectoryProcrustesKernel(measure).compare(x, x @ rng.normal(size=(6, 6)), TIMES, rng) < 0.95


def test_two_folds_by_hand(smooth):
    rng = np.random.default_rng(3)
    x = smooth(rng, units=4)
    y = x[:, :, ::-1] + smooth(rng, units=4)
    order = np.random.default_rng(5).permutation(10)
    expected = {"cosine": [], "r2": []}
    for test, train in ((order[:5], order[5:]), (order[5:], order[:5])):
        (a, a_test), (b, b_test) = (
            [(side[part] - side[train].mean(axis=0)).reshape(-1, 4) for part in (train, test)]
            for side in (x, y)
        )
        rotation, total = scipy.linalg.orthogonal_procrustes(a, b)
        turned = a_test @ rotation
        expected["cosine"].append(np.sum(turned * b_test) / np.linalg.norm(a_test) / np.linalg.norm(b_test))
        error = np.sum((b_test - total / np.sum(a**2) * turned) ** 2)
        expected["r2"].append(1 - error / np.sum(b_test**2))
    for measure, values in expected.items():
        kernel = TrajectoryProcrustesKernel(measure, 2)
        assert kernel.compare(x, y, TIMES, np.random.default_rng(5)) == pytest.approx(
            np.mean(values), abs=1e-10
        )


def test_unrelated_trajectories_are_at_chance(smooth):
    rng = np.random.default_rng(4)
    cosine, r2 = (
        [TrajectoryProcrustesKernel(measure).compare(smooth(rng), smooth(rng), TIMES, rng) for _ in range(60)]
        for measure in ("cosine", "r2")
    )
    assert abs(np.mean(cosine)) < 3 * np.std(cosine) / np.sqrt(60) < 0.05
    assert np.mean(r2) < 0


def test_a_side_that_does_not_vary_has_no_value(smooth):
    rng = np.random.default_rng(5)
    x = smooth(rng)
    for one, other in ((x, np.full_like(x, 1e6 / 3)), (np.full_like(x, 1e6 / 3), x)):
        assert np.isnan(TrajectoryProcrustesKernel().compare(one, other, TIMES, rng))


def test_bad_input_raises(smooth):
    rng = np.random.default_rng(6)
    x = smooth(rng)
    with pytest.raises(UnknownNameError, match="Did you mean 'cosine'"):
        procrustes_trajectory("cosin")
    with pytest.raises(ResponsesError, match="same conditions and times on both sides"):
        TrajectoryProcrustesKernel().compare(x, x[:7], TIMES, rng)
    with pytest.raises(ResponsesError, match="at least 3 are needed"):
        TrajectoryProcrustesKernel().compare(x[:1], x[:1], TIMES, rng)
