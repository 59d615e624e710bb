"""Noise-normalised RDMs against rsatoolbox's, unbiased over simulations, with repeats missing anywhere."""

import warnings
from itertools import permutations, product

import numpy as np
import pytest
from rsatoolbox.data import Dataset
from rsatoolbox.rdm import calc_rdm, calc_rdm_unbalanced
from scipy.spatial.distance import pdist

from brainalign.errors import ResponsesError
from brainalign.metrics.crossnobis import crossnobis, mahalanobis

# rsatoolbox makes whole numbers of NaN on its way.
CASTS = pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")


def repeated(n_stimuli=9, n_units=5, n_repeats=4, seed=0, missing=False) -> np.ndarray:
    generator = np.random.default_rng(seed)
    values = generator.gamma(2, size=(n_stimuli, n_units, 1)) + generator.normal(
        size=(n_stimuli, n_units, n_repeats)
    )
    if missing:
        for row in values:
            row[:, generator.permutation(n_repeats)[: generator.integers(0, n_repeats - 1)]] = np.nan
    return values


def precision_of(n_units: int) -> np.ndarray:
    mixing = np.random.default_rng(9).normal(size=(n_units, 2 * n_units))
    return mixing @ mixing.T


def dataset(repeats: np.ndarray) -> Dataset:
    by_presentation = repeats.transpose(0, 2, 1)
    held = ~np.isnan(by_presentation).any(axis=2)
    stimulus, fold = np.nonzero(held)
    described = {"stimulus": stimulus.tolist(), "fold": fold.tolist()}
    return Dataset(by_presentation[held], obs_descriptors=described)


def by_rsatoolbox(repeats: np.ndarray, precision: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        # That every presentation is a fold of its own is what is wanted here.
        warnings.filterwarnings("ignore", message="cv_descriptor not set", category=UserWarning)
        rdm = calc_rdm_unbalanced(dataset(repeats), method="crossnobis", descriptor="stimulus", noise=precision)
    return rdm.dissimilarities[0]


@CASTS
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("n_units", [1, 5])
def test_crossnobis_equals_rsatoolbox(n_units, missing):
    repeats, precision = repeated(n_units=n_units, missing=missing), precision_of(n_units)
    expected = by_rsatoolbox(repeats, precision)
    np.testing.assert_allclose(crossnobis(repeats, precision), expected, rtol=0, atol=1e-11)


@CASTS
def test_crossnobis_is_the_mean_over_all_ways_to_make_folds():
    repeats, precision = repeated(3, 4, 3), precision_of(4)
    orders = [np.array(order) for order in permutations(range(3))]
    # The folds of the first stimulus may stay: only how the others stand to it matters.
    aligned = [
        np.stack([repeats[0], repeats[1][:, second], repeats[2][:, third]])
        for second, third in product(orders, orders)
    ]
    folded = [
        calc_rdm(
            dataset(each), method="crossnobis", descriptor="stimulus", noise=precision, cv_descriptor="fold"
        ).dissimilarities[0]
        for each in aligned
    ]
    assert np.std(folded, axis=0).min() > 0.01
    np.testing.assert_allclose(crossnobis(repeats, precision), np.mean(folded, axis=0), rtol=0, atol=1e-11)


@CASTS
@pytest.mark.parametrize("missing", [False, True])
def test_mahalanobis_equals_rsatoolbox(missing):
    repeats, precision = repeated(missing=missing), precision_of(5)
    expected = calc_rdm(dataset(repeats), method="mahalanobis", descriptor="stimulus", noise=precision)
    found = mahalanobis(np.nanmean(repeats, axis=2), precision)
    np.testing.assert_allclose(found, expected.dissimilarities[0], rtol=1e-10)


def test_mahalanobis_is_scipys_squared():
    patterns, precision = repeated()[:, :, 0], precision_of(5)
    expected = pdist(patterns, "mahalanobis", VI=precision) ** 2 / 5
    np.testing.assert_allclose(mahalanobis(patterns, precision), expected, rtol=1e-10)


def by_pairs_of_units(repeats: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Distance of the means, less the covariance of the means, each pair of units on its own."""
    n, p, _ = repeats.shape
    mean = np.nanmean(repeats, axis=2)
    added = np.zeros(n)
    for i, u, v in product(range(n), range(p), range(p)):
        in_u, in_v = ~np.isnan(repeats[i, u]), ~np.isnan(repeats[i, v])
        a, b, both = in_u.sum(), in_v.sum(), in_u & in_v
        deviations = [(repeats[i, w] - mean[i, w])[both] for w in (u, v)]
        # Expected sum of products of deviations, in covariances; simulated in the test below.
        freedom = both.sum() * (1 - 1 / a - 1 / b + both.sum() / (a * b))
        if both.any():
            added[i] += precision[u, v] * (deviations[0] @ deviations[1]) / freedom * both.sum() / (a * b)
    distances = pdist(mean, "mahalanobis", VI=precision) ** 2
    first, second = np.triu_indices(n, 1)
    return (distances - added[first] - added[second]) / p


def holes(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Some presentations missing unit by unit, two left of each at least."""
    generator = np.random.default_rng(seed)
    order = np.argsort(generator.random(shape), axis=2)
    return order >= generator.integers(2, shape[2] + 1, size=shape[:2])[:, :, None]


def test_units_may_miss_different_repeats():
    repeats, precision = repeated(8, 4, 5), precision_of(4)
    repeats[holes(repeats.shape, 1)] = np.nan
    repeats[0] = np.array([[1, 2, np.nan, np.nan, np.nan]] * 2 + [[np.nan, np.nan, np.nan, 1, 3]] * 2)
    found = crossnobis(repeats, precision)
    np.testing.assert_allclose(found, by_pairs_of_units(repeats, precision), rtol=0, atol=1e-10)


@pytest.mark.parametrize("unit_by_unit", [False, True])
def test_distances_are_unbiased_and_those_of_equal_patterns_average_to_zero(unit_by_unit):
    generator = np.random.default_rng(2)
    mixing = generator.normal(size=(4, 4))
    truth = np.repeat(generator.normal(size=(3, 4)), 2, axis=0)
    precision = np.linalg.inv(mixing @ mixing.T)
    gone = holes((6, 4, 4), 3) if unit_by_unit else np.broadcast_to(holes((6, 1, 4), 3), (6, 4, 4))
    found, biased = [], []
    for _ in range(500):
        noise = np.einsum("uv,ivr->iur", mixing, generator.normal(size=(6, 4, 4)))
        repeats = np.where(gone, np.nan, truth[:, :, None] + noise)
        found.append(crossnobis(repeats, precision))
        biased.append(mahalanobis(np.nanmean(repeats, axis=2), precision))
    expected = mahalanobis(truth, precision)
    equal = expected == 0
    assert equal.sum() == 3
    error = np.std(found, axis=0) / np.sqrt(500)
    assert (np.abs(np.mean(found, axis=0) - expected) < 4 * error).all()
    assert (np.mean(biased, axis=0)[equal] > 10 * error[equal]).all()


def test_noise_normalising_undoes_a_change_of_the_units_axes():
    repeats, precision = repeated(missing=True), precision_of(5)
    change = np.random.default_rng(5).normal(size=(5, 5))
    moved, back = np.einsum("uv,ivr->iur", change, repeats), np.linalg.inv(change)
    np.testing.assert_allclose(
        crossnobis(moved, back.T @ precision @ back), crossnobis(repeats, precision), rtol=0, atol=1e-9
    )


def test_a_large_common_response_costs_no_digits():
    repeats, precision = repeated(), precision_of(5)
    np.testing.assert_allclose(crossnobis(repeats + 1e6, precision), crossnobis(repeats, precision), atol=1e-6)


def test_order_and_place_of_repeats_do_not_matter():
    repeats, precision = repeated(missing=True), precision_of(5)
    generator = np.random.default_rng(6)
    shuffled = np.stack([row[:, generator.permutation(4)] for row in repeats])
    np.testing.assert_allclose(
        crossnobis(shuffled, precision), crossnobis(repeats, precision), rtol=0, atol=1e-11
    )


@pytest.mark.parametrize("unit", [slice(None), 2])
def test_a_stimulus_shown_once_is_refused(unit):
    repeats = repeated()
    repeats[4, unit, 1:] = np.nan
    with pytest.raises(ResponsesError, match="1 of 9 stimuli, such as the one at index 4.*'mahalanobis'"):
        crossnobis(repeats, precision_of(5))


def test_callers_arrays_stay_as_they_are():
    repeats, precision = repeated(missing=True), precision_of(5)
    kept = repeats.copy(), precision.copy()
    crossnobis(repeats, precision)
    np.testing.assert_array_equal(repeats, kept[0])
    np.testing.assert_array_equal(precision, kept[1])
