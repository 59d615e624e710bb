"""Targets decoded from single trials: naive leave-one-out, scikit-learn, chance, and what recordings hold."""

import numpy as np
import pytest
import scipy.io
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import NearestCentroid

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics.neural_decoding import nearest_mean, target_decoding

GITHUB = "raw.githubusercontent.com"
YU = f"{GITHUB}/kendranoneman/DataHigh/516c2921b15aaa127e805a8ac2a4bfb8cfc9740d/data/ex1_spikecounts.mat"
HATSOPOULOS = (
    f"{GITHUB}/CONECT-INT/2022_CENTURI-SummerSchool/31379a8a74d5477ce00c898aa3e45b6198709608/"
    "datasets/dataset1_reaching-task/Dataset1.mat"
)


def trials(separation: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unequally many trials of four targets."""
    rng = np.random.default_rng(seed)
    targets = np.repeat(np.arange(4), [10, 17, 25, 30])
    return rng.normal(size=(82, 12)) + separation * rng.normal(size=(4, 12))[targets], targets


def test_nearest_mean_is_scikit_learns_centroids_leaving_one_out():
    rates, targets = trials(0.5)
    theirs = cross_val_predict(NearestCentroid(), rates, targets, cv=LeaveOneOut())
    found = nearest_mean(rates, targets, np.random.default_rng(0))
    np.testing.assert_array_equal(found, theirs)
    assert 0.3 < np.mean(found == targets) < 0.95


@pytest.mark.parametrize("decoder", ["nearest_mean", "lda"])
def test_targets_far_apart_are_decoded_and_shuffled_ones_are_not(decoder):
    rates, targets = trials(3.0)
    names = np.array(["north", "east", "south", "west"])[targets]
    rng = np.random.default_rng(1)
    assert target_decoding(rates, names, rng, decoder) == 1.0
    shuffled = [target_decoding(rates, rng.permutation(names), rng, decoder) for _ in range(20)]
    assert 0.1 < np.mean(shuffled) < 0.35


def test_discriminant_sees_through_noise_that_units_share():
    # Noise dominates distances, so that the nearest mean is misled; the discriminant weighs it down.
    rng = np.random.default_rng(2)
    targets = np.repeat([0, 1], 60)
    rates = rng.normal(size=(120, 5)) + 20 * rng.normal(size=(120, 1))
    rates[:, 0] += 4 * targets
    assert target_decoding(rates, targets, rng, "lda") > 0.9
    assert target_decoding(rates, targets, rng) < 0.7


@pytest.mark.data
def test_delay_activity_of_yu_2009(mirror):
    trials = scipy.io.loadmat(mirror / YU, squeeze_me=True, struct_as_record=False)["D"]
    counts = np.stack([trial.data.sum(axis=1) for trial in trials]).astype(np.float64)
    reaches = np.array([trial.condition for trial in trials])
    assert counts.shape == (210, 61)
    rng = np.random.default_rng(0)
    assert target_decoding(counts, reaches, rng) == pytest.approx(202 / 210, abs=1e-12)
    assert target_decoding(np.sqrt(counts), reaches, rng) == pytest.approx(206 / 210, abs=1e-12)
    assert target_decoding(counts, reaches, rng, "lda") > 0.95


@pytest.mark.data
def test_rates_of_hatsopoulos_2004(mirror):
    stored = scipy.io.loadmat(mirror / HATSOPOULOS, squeeze_me=True)
    rates, directions = stored["R"].T, stored["direction"]
    assert rates.shape == (158, 143)
    rng = np.random.default_rng(0)
    assert target_decoding(rates, directions, rng) == pytest.approx(125 / 158, abs=1e-12)
    shuffled = [target_decoding(rates, rng.permutation(directions), rng) for _ in range(10)]
    assert np.mean(shuffled) < 0.2


def test_bad_input_raises():
    rng = np.random.default_rng(3)
    rates, targets = trials(1.0)
    with pytest.raises(UnknownNameError, match="Did you mean 'lda'"):
        target_decoding(rates, targets, rng, "ldb")
    for one, other in (
        (rates[:5], targets),
        (np.where(rates > 2, np.nan, rates), targets),
        (rates[0], targets),
    ):
        with pytest.raises(ResponsesError, match="one target a trial"):
            target_decoding(one, other, rng)
    with pytest.raises(ResponsesError, match=r"4 targets, of which \[0, 1, 2, 3\] have one trial"):
        target_decoding(rates[:4], np.arange(4), rng)
    with pytest.raises(ResponsesError, match="1 targets"):
        target_decoding(rates, np.zeros(82), rng)
