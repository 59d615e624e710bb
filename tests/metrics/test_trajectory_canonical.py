"""Canonical correlation of trajectories against scikit-learn and plain numpy; what smoothness alone gives."""

import numpy as np
import pytest
from sklearn.cross_decomposition import CCA

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics.trajectory_canonical import TrajectoryCcaKernel, canonical_maps, cca, fitted_cca

TIMES = np.arange(61) / 100


def naive_maps(x: np.ndarray, y: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Whiten covariances of the leading principal components, and decompose their cross-covariance."""
    whiten = []
    for side in (x, y):
        values, axes = np.linalg.eigh(side.T @ side / len(side))
        whiten.append(axes[:, ::-1][:, :k] / np.sqrt(values[::-1][:k]))
    left, _, right = np.linalg.svd(whiten[0].T @ (x.T @ y / len(x)) @ whiten[1])
    return whiten[0] @ left, whiten[1] @ right.T


def test_fit_is_scikit_learns_on_principal_components(smooth):
    rng = np.random.default_rng(0)
    x = smooth(rng, units=4).reshape(-1, 4)
    y = x @ rng.normal(size=(4, 3)) + smooth(rng, units=3).reshape(-1, 3)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    of_x, of_y, correlations = canonical_maps(x, y, 10)
    u, v = CCA(n_components=3, max_iter=5000, tol=1e-12).fit_transform(x, y)
    theirs = [np.corrcoef(u[:, i], v[:, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(correlations, theirs, atol=1e-6)
    mine = [np.corrcoef((x @ of_x)[:, i], (y @ of_y)[:, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(mine, correlations, atol=1e-12)


@pytest.mark.parametrize("keep_invariant", [False, True])
def test_held_out_value_is_the_naive_one(smooth, keep_invariant):
    rng = np.random.default_rng(1)
    x = smooth(rng, units=12)
    y = x @ rng.normal(size=(12, 15)) + 2 * smooth(rng, units=15)
    kernel = TrajectoryCcaKernel(5, 4, keep_invariant)
    order, found = np.random.default_rng(7).permutation(10), []
    for test in (order[:3], order[3:6], order[6:8], order[8:]):
        train = np.setdiff1d(np.arange(10), test)
        axes = (0, 1) if keep_invariant else (0,)
        (a, a_test), (b, b_test) = (
            (
                (side[train] - side[train].mean(axis=axes)).reshape(-1, side.shape[2]),
                (side[test] - side[train].mean(axis=axes)).reshape(-1, side.shape[2]),
            )
            for side in (x, y)
        )
        to_x, to_y = naive_maps(a, b, 5)
        found += [np.corrcoef((a_test @ to_x)[:, i], (b_test @ to_y)[:, i])[0, 1] for i in range(5)]
    assert kernel.compare(x, y, TIMES, np.random.default_rng(7)) == pytest.approx(np.mean(found), abs=1e-9)


def test_linear_mixture_is_one_and_profile_averages_to_the_value(smooth):
    rng = np.random.default_rng(2)
    x = smooth(rng, units=6)
    assert TrajectoryCcaKernel(6).compare(x, x @ rng.normal(size=(6, 9)), TIMES, rng) == pytest.approx(
        1, abs=1e-9
    )
    y = smooth(rng, units=6) + x
    profile = TrajectoryCcaKernel(4).profile(x, y, TIMES, np.random.default_rng(0))
    assert profile.shape == (4,)
    assert TrajectoryCcaKernel(4).compare(x, y, TIMES, np.random.default_rng(0)) == pytest.approx(
        profile.mean()
    )


def test_value_is_symmetric_and_does_not_see_rotation_scale_or_offset(smooth):
    rng = np.random.default_rng(3)
    x, y = smooth(rng, units=8), smooth(rng, units=5)
    y += x[:, :, :5]
    kernel = cca(n_components=4).kernel
    value = kernel.compare(x, y, TIMES, np.random.default_rng(0))
    rotated = 3 * x @ np.linalg.qr(rng.normal(size=(8, 8)))[0] + rng.normal(size=8)
    for one, other in ((rotated, y), (y, x)):
        assert kernel.compare(one, other, TIMES, np.random.default_rng(0)) == pytest.approx(value, abs=1e-9)


def test_smoothness_alone_correlates_where_it_is_fitted_and_not_in_held_out_conditions(smooth):
    # Ten conditions of 61 bins, ten dimensions, a correlation time of 100 ms.
    rng = np.random.default_rng(4)
    pairs = [(smooth(rng, width=0.1), smooth(rng, width=0.1)) for _ in range(60)]
    fitted = [fitted_cca(x, y, TIMES) for x, y in pairs]
    held_out = [TrajectoryCcaKernel().compare(x, y, TIMES, rng) for x, y in pairs]
    assert np.mean(fitted) == pytest.approx(0.46, abs=0.03)
    assert abs(np.mean(held_out)) < 3 * np.std(held_out) / np.sqrt(60) < 0.05
    # The control: independent bins in the same number do not.
    rough = [fitted_cca(*rng.standard_normal((2, 10, 61, 10)), TIMES) for _ in range(10)]
    assert np.mean(rough) < 0.15


def test_other_conditions_are_at_chance(smooth):
    rng = np.random.default_rng(5)
    x = smooth(rng, conditions=20, units=8, width=0.03)
    y = x @ np.linalg.qr(rng.normal(size=(8, 8)))[0] + 0.3 * smooth(rng, 20, units=8, width=0.03)
    kernel = TrajectoryCcaKernel(5)
    assert kernel.compare(x, y, TIMES, rng) > 0.8
    shifted = [kernel.compare(np.roll(x, shift, axis=0), y, TIMES, rng) for shift in range(1, 20)]
    assert abs(np.mean(shifted)) < 0.05


def test_condition_invariant_signal_makes_unrelated_conditions_agree_unless_it_is_left_out(smooth):
    rng = np.random.default_rng(6)
    shared = 5 * smooth(rng, conditions=1, units=1)
    pairs = [(smooth(rng) + shared, smooth(rng) + shared) for _ in range(20)]
    kept, left_out = (
        np.mean([TrajectoryCcaKernel(3, keep_invariant=keep).compare(x, y, TIMES, rng) for x, y in pairs])
        for keep in (True, False)
    )
    assert kept > 0.3
    assert abs(left_out) < 0.05


def test_fewer_directions_than_components_and_constant_sides(smooth):
    rng = np.random.default_rng(8)
    x = smooth(rng, units=2)
    assert TrajectoryCcaKernel().profile(x, x, TIMES, rng).shape == (2,)
    assert np.isnan(TrajectoryCcaKernel().compare(x, np.full_like(x, 1e6 / 3), TIMES, rng))
    assert np.isnan(fitted_cca(x, np.full_like(x, 1e6 / 3), TIMES))


def test_bad_input_raises(smooth):
    rng = np.random.default_rng(9)
    x, kernel = smooth(rng), TrajectoryCcaKernel()
    for other in (x[:8], x[:, :50]):
        with pytest.raises(ResponsesError, match="same conditions and times on both sides.*matched one to one"):
            kernel.compare(x, other, TIMES, rng)
    with pytest.raises(ResponsesError, match="cca was given 2 conditions; at least 3"):
        kernel.compare(x[:2], x[:2], TIMES, rng)
    with pytest.raises(ResponsesError, match="8 and 8 components was asked for from 16 conditions × times"):
        kernel.compare(x[:3, :8], x[:3, :8], TIMES[:8], rng)
    with pytest.raises(ResponsesError, match=r"shape \(10, 61\)"):
        kernel.compare(x, x[:, :, 0], TIMES, rng)
    with pytest.raises(UnknownNameError, match="n_folds is 1; expected 2 or more"):
        TrajectoryCcaKernel(n_folds=1).compare(x, x, TIMES, rng)
    broken = x.copy()
    broken[2, 3, 1] = np.nan
    with pytest.raises(ResponsesError, match="of the brain.*1 values in 1 units are NaN"):
        kernel.compare(x, broken, TIMES, rng)
