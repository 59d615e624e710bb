"""Unlabelled conditions: the best order is found, planted orders come back, unrelated data do not win."""

from itertools import permutations

import numpy as np
import pytest
import scipy.io

from brainalign.errors import ResponsesError
from brainalign.metrics import condition_matching
from brainalign.metrics.condition_matching import match, matched_chance, matched_value
from brainalign.metrics.rdm import to_square
from brainalign.metrics.trajectory_canonical import TrajectoryCcaKernel
from brainalign.metrics.trajectory_procrustes import TrajectoryProcrustesKernel
from brainalign.metrics.trajectory_rsa import TrajectoryRsaKernel

TIMES = np.arange(61) / 100
EXAMPLE = (
    "raw.githubusercontent.com/gamaleldin/TME/ad1adf835e72dbba012406b5a3af30701adc8993/data/exampleData.mat"
)


def objective(model: np.ndarray, brain: np.ndarray, times: np.ndarray) -> float:
    """Correlate, over times and pairs, the dissimilarities of conditions."""
    rdms = [TrajectoryRsaKernel().dissimilarities(side, times).ravel() for side in (model, brain)]
    return float(np.corrcoef(*rdms)[0, 1])


@pytest.mark.parametrize("conditions", [4, 7])
def test_no_order_is_better_than_the_one_found(smooth, conditions):
    rng = np.random.default_rng(conditions)
    times = TIMES[:8]
    model, brain = smooth(rng, conditions, 8, 4), smooth(rng, conditions, 8, 5)
    found = objective(model[match(model, brain, times, rng)], brain, times)
    square = to_square(TrajectoryRsaKernel().dissimilarities(model, times))
    wanted = to_square(TrajectoryRsaKernel().dissimilarities(brain, times))
    sums = [
        np.sum(square[:, order][:, :, order] * wanted)
        for order in (np.array(each) for each in permutations(range(conditions)))
    ]
    best = list(permutations(range(conditions)))[int(np.argmax(sums))]
    assert found == pytest.approx(objective(model[list(best)], brain, times), abs=1e-12)


def test_swaps_find_what_trying_all_orders_finds(smooth, monkeypatch):
    rng = np.random.default_rng(0)
    for _ in range(10):
        model, brain = smooth(rng, 6, units=3), smooth(rng, 6, units=3)
        exhaustive = objective(model[match(model, brain, TIMES, rng)], brain, TIMES)
        with monkeypatch.context() as patch:
            patch.setattr(condition_matching, "MOST_EXHAUSTIVE", 0)
            swapped = objective(model[match(model, brain, TIMES, rng)], brain, TIMES)
        assert swapped == pytest.approx(exhaustive, abs=1e-12)


@pytest.mark.parametrize("conditions", [5, 10, 20])
def test_planted_order_comes_back(smooth, conditions):
    rng = np.random.default_rng(1)
    brain = smooth(rng, conditions, units=12)
    order = rng.permutation(conditions)
    model = (brain @ np.linalg.qr(rng.normal(size=(12, 12)))[0] + 0.2 * smooth(rng, conditions, units=12))[
        order
    ]
    found = match(model, brain, TIMES, rng)
    np.testing.assert_array_equal(order[found], np.arange(conditions))


def test_related_model_is_above_its_chance_and_unlabelled_order_does_not_matter(smooth):
    rng = np.random.default_rng(2)
    model = smooth(rng, 8, 31, 6)
    brain = model @ rng.normal(size=(6, 20)) + smooth(rng, 8, 31, 20)
    kernel, times = TrajectoryRsaKernel(), TIMES[:31]
    value = matched_value(kernel, model, brain, times, rng, n_halves=4)
    shuffled = matched_value(kernel, model[rng.permutation(8)], brain, times, rng, n_halves=4)
    chance = matched_chance(kernel, model, brain, times, 19, rng, n_halves=4)
    assert min(value, shuffled) > chance.max()


@pytest.mark.parametrize("kernel", [TrajectoryRsaKernel(), TrajectoryCcaKernel(3, 2)])
def test_unrelated_models_do_not_score_above_their_own_null(smooth, kernel):
    # A brain of few dimensions, whose halves share them: the search's gain carries over to the other half.
    rng, times = np.random.default_rng(3), TIMES[:21]
    ranks, values = [], []
    for _ in range(8):
        brain = smooth(rng, 7, 21, 3) @ rng.normal(size=(3, 20)) + 0.1 * smooth(rng, 7, 21, 20)
        model = smooth(rng, 7, 21, 6)
        values.append(matched_value(kernel, model, brain, times, rng, n_halves=2))
        chance = matched_chance(kernel, model, brain, times, 9, rng, n_halves=2)
        ranks.append(np.mean(chance >= values[-1]))
    # Uniform ranks: mean 1/2, standard deviation of the mean of eight 0.11. Against zero they would all "win".
    assert np.mean(ranks) > 0.5 - 3 * 0.11
    if isinstance(kernel, TrajectoryRsaKernel):
        assert np.mean(values) > 5 * np.std(values) / np.sqrt(8)


@pytest.mark.data
def test_halves_of_motor_cortex_are_matched_above_chance(mirror):
    # By Procrustes: RDMs grow with the movement on both sides, so that random ones reach 0.36 to cortex's 0.42.
    brain = scipy.io.loadmat(mirror / EXAMPLE)["dataTensor"].transpose(2, 0, 1)[:, ::3]
    times, kernel, values, chance = TIMES[::3], TrajectoryProcrustesKernel(), [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        units = rng.permutation(50)
        model, other = brain[rng.permutation(10)][:, :, units[:25]], brain[:, :, units[25:]]
        values.append(matched_value(kernel, model, other, times, rng, n_halves=4))
        chance.extend(matched_chance(kernel, model, other, times, 4, rng, n_halves=4))
    assert np.mean(values) > np.mean(chance) + 2 * np.std(chance)


def test_bad_input_raises(smooth):
    rng = np.random.default_rng(5)
    x = smooth(rng)
    with pytest.raises(ResponsesError, match="matched one to one, if they are as many"):
        match(x[:7], x, TIMES, rng)
    with pytest.raises(ResponsesError, match="from 1 units of the brain in 10 random halves"):
        matched_value(TrajectoryRsaKernel(), x, x[:, :, :1], TIMES, rng)
    with pytest.raises(ResponsesError, match="at least 3"):
        match(x[:2], x[:2], TIMES, rng)
