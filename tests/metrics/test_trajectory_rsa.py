"""RSA over conditions and times: against scipy and rsatoolbox's comparison, and its exact chance."""

from itertools import permutations

import numpy as np
import pytest
from rsatoolbox.rdm import RDMs, compare
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics.trajectory_rsa import TrajectoryRsaKernel, rsa_trajectory

TIMES = np.arange(12) / 100
RNG = np.random.default_rng(0)


def pair(smooth, conditions: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Conditions that drift apart on both sides, and are partly alike."""
    rng = np.random.default_rng(1)
    x, y = smooth(rng, conditions, 12, 8), smooth(rng, conditions, 12, 5)
    return x * np.linspace(0.5, 2, 12)[:, None], (y + 0.5 * x[:, :, :5]) * np.linspace(0.5, 3, 12)[:, None]


def test_conditions_at_each_time_end_to_end(smooth):
    x, y = pair(smooth)
    one, other = (np.concatenate([pdist(side[:, t]) for t in range(12)]) for side in (x, y))
    value = TrajectoryRsaKernel().compare(x, y, TIMES, RNG)
    assert value == pytest.approx(spearmanr(one, other)[0], abs=1e-12)


@pytest.mark.parametrize(("ours", "theirs"), [("pearson", "corr"), ("cosine", "cosine"), ("tau_a", "tau-a")])
def test_all_points_are_one_rdm_of_rsatoolboxs(smooth, ours, theirs):
    x, y = pair(smooth)
    rdms = [RDMs(pdist(side.reshape(72, -1), "sqeuclidean")[None]) for side in (x, y)]
    kernel = rsa_trajectory("squared_euclidean", ours, "all").kernel
    assert kernel.compare(x, y, TIMES, RNG) == pytest.approx(compare(*rdms, method=theirs)[0, 0], abs=1e-10)


@pytest.mark.parametrize("points", ["conditions", "all"])
@pytest.mark.parametrize("comparator", ["spearman", "pearson", "cosine", "rho_a"])
def test_chance_is_the_mean_over_all_orders_of_the_conditions(smooth, points, comparator):
    x, y = pair(smooth, conditions=4)
    kernel = rsa_trajectory(compare=comparator, points=points).kernel
    values = [kernel.compare(x, y[list(order)], TIMES, RNG) for order in permutations(range(4))]
    assert kernel.chance(x, y, TIMES) == pytest.approx(np.mean(values), abs=1e-10)
    assert np.mean(values) > 0.1


def test_chance_of_tau_a_is_its_mean_over_random_orders(smooth):
    x, y = (side[:, :3] for side in pair(smooth, conditions=3))
    kernel = rsa_trajectory(compare="tau_a").kernel
    orders = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    values = [kernel.compare(x, y[order], TIMES[:3], RNG) for order in orders]
    assert kernel.chance(x, y, TIMES[:3]) == pytest.approx(
        np.mean(values), abs=4 * np.std(values) / np.sqrt(1000)
    )


@pytest.mark.parametrize("points", ["conditions", "all"])
def test_rotated_copy_is_one_and_shuffled_conditions_are_not(smooth, points):
    x, _ = pair(smooth)
    turned = 2 * x @ np.linalg.qr(np.random.default_rng(2).normal(size=(8, 8)))[0] + 1.0
    kernel = TrajectoryRsaKernel(points=points)
    assert kernel.compare(x, turned, TIMES, RNG) == pytest.approx(1.0, abs=1e-6)
    assert kernel.compare(x, np.roll(turned, 1, axis=0), TIMES, RNG) < 0.9


def test_bad_input_raises(smooth):
    x, y = pair(smooth)
    with pytest.raises(UnknownNameError, match="compare=cosine_cov divides out the noise of one RDM"):
        rsa_trajectory(compare="cosine_cov")
    with pytest.raises(UnknownNameError, match="Did you mean 'conditions'"):
        rsa_trajectory(points="condition")
    with pytest.raises(ResponsesError, match="same conditions and times"):
        TrajectoryRsaKernel().compare(x, y[:, :5], TIMES, RNG)
    silent = x.copy()
    silent[:, 0] = 0.0
    with pytest.raises(ResponsesError, match="correlation distance is undefined"):
        rsa_trajectory("correlation").kernel.compare(silent, y, TIMES, RNG)
    assert np.isfinite(TrajectoryRsaKernel().compare(silent, y, TIMES, RNG))
    with pytest.raises(ResponsesError, match="at least 3"):
        TrajectoryRsaKernel().compare(x[:2], y[:2], TIMES, RNG)
