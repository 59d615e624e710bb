"""Comparators against rsatoolbox, and their chance over every order of the stimuli."""

from itertools import permutations

import numpy as np
import pytest
import rsatoolbox
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from brainalign.errors import UnknownNameError
from brainalign.metrics.comparators import COMPARATORS, find_comparator
from brainalign.metrics.rdm import to_condensed, to_square

RSATOOLBOX_NAMES = {
    "spearman": "spearman",
    "pearson": "corr",
    "kendall_tau_a": "tau-a",
    "rho_a": "rho-a",
    "cosine": "cosine",
    "cosine_cov": "cosine_cov",
    "corr_cov": "corr_cov",
}
ABSOLUTE = {name for name, comparator in COMPARATORS.items() if comparator.absolute}
KRIEGESKORTE = (
    "raw.githubusercontent.com/rsagroup/rsatoolbox/f1f83cadb7243492a1aae7460466e0f0140b20ac/demos/92imageData/"
    "Kriegeskorte_Neuron2008_supplementalData.mat"
)


def oracle(x: np.ndarray, y: np.ndarray, name: str) -> np.ndarray:
    rdms = rsatoolbox.rdm.RDMs
    return rsatoolbox.rdm.compare(rdms(x[None]), rdms(y), method=RSATOOLBOX_NAMES[name])[0]


@pytest.mark.parametrize("digits", [8, 1, 0])
@pytest.mark.parametrize("name", COMPARATORS)
def test_equals_rsatoolbox_with_and_without_ties(name, digits):
    generator = np.random.default_rng(0)
    x = generator.gamma(2, size=190).round(digits)
    y = (0.5 * x + generator.gamma(2, size=(6, 190))).round(digits)
    np.testing.assert_allclose(COMPARATORS[name].compare(x, y), oracle(x, y, name), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", COMPARATORS)
def test_equals_rsatoolbox_for_a_model_of_two_categories(name):
    generator = np.random.default_rng(1)
    category = np.arange(20) % 2
    x = to_condensed((category[:, None] != category).astype(float))
    y = generator.gamma(2, size=(3, 190)) + x
    np.testing.assert_allclose(COMPARATORS[name].compare(x, y), oracle(x, y, name), rtol=0, atol=1e-12)


tied = arrays(np.float64, (3, 10), elements=st.integers(0, 4).map(float))


@pytest.mark.parametrize("name", COMPARATORS)
@given(rdms=tied)
def test_bounded_symmetric_and_one_with_itself_where_untied(name, rdms):
    x, y = rdms[0], rdms[1:]
    values = COMPARATORS[name].compare(x, y)
    assert (np.isnan(values) | (np.abs(values) <= 1)).all()
    back = [COMPARATORS[name].compare(row, x[None])[0] for row in y]
    np.testing.assert_allclose(values, back, atol=1e-12)
    untied = 5 * np.arange(10.0) + x
    np.testing.assert_allclose(COMPARATORS[name].compare(untied, untied[None])[0], 1.0, atol=1e-12)


@pytest.mark.parametrize("name", ["spearman", "kendall_tau_a", "rho_a"])
def test_rank_comparators_see_only_the_order(name):
    generator = np.random.default_rng(2)
    x, y = generator.gamma(2, size=66), generator.gamma(2, size=(2, 66))
    compare = COMPARATORS[name].compare
    np.testing.assert_allclose(compare(x**3, np.log(y)), compare(x, y), atol=1e-12)


@pytest.mark.parametrize("name", sorted(set(COMPARATORS) - ABSOLUTE))
@pytest.mark.parametrize("value", [0.0, 0.1, 3.0])
def test_a_constant_rdm_has_no_value(name, value):
    y = np.random.default_rng(3).random((2, 45))
    constant = np.full(45, value)
    compare = COMPARATORS[name].compare
    assert np.isnan(compare(constant, y)).all()
    np.testing.assert_array_equal(np.isnan(compare(y[0], np.stack([constant, y[1]]))), [True, False])


@pytest.mark.parametrize("name", ["cosine", "cosine_cov"])
def test_cosines_have_no_value_for_an_rdm_of_zeros_only(name):
    y = np.random.default_rng(4).random((2, 45))
    assert np.isnan(COMPARATORS[name].compare(np.zeros(45), y)).all()
    assert np.isfinite(COMPARATORS[name].compare(np.ones(45), y)).all()
    assert np.isnan(COMPARATORS[name].chance(np.zeros(45), y[0]))
    assert name in ABSOLUTE


@pytest.mark.parametrize("name", COMPARATORS)
def test_nan_gives_nan_and_not_a_number(name):
    y = np.random.default_rng(5).random((2, 45))
    x = y[0].copy()
    x[3] = np.nan
    assert np.isnan(COMPARATORS[name].compare(x, y)).all()


@pytest.mark.parametrize("name", COMPARATORS)
def test_callers_arrays_stay_as_they_are(name):
    generator = np.random.default_rng(6)
    x, y = generator.random(45), generator.random((2, 45))
    kept = x.copy(), y.copy()
    COMPARATORS[name].compare(x, y)
    COMPARATORS[name].normalise(y)
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(y, kept[1])


@pytest.mark.parametrize("name", COMPARATORS)
@settings(max_examples=15)
@given(rdms=arrays(np.float64, (2, 10), elements=st.integers(0, 6).map(float)))
def test_chance_is_the_mean_over_all_orders_of_the_stimuli(name, rdms):
    x, y = rdms
    square = to_square(y)
    orders = np.stack([to_condensed(square[np.ix_(order, order)]) for order in permutations(range(5))])
    values = COMPARATORS[name].compare(x, orders)
    if np.isfinite(values).all():
        np.testing.assert_allclose(values.mean(), COMPARATORS[name].chance(x, y), atol=1e-12)
    else:
        assert np.isnan(values).all()


@pytest.mark.parametrize("name", COMPARATORS)
def test_chance_is_met_by_random_orders_of_related_rdms(name):
    generator = np.random.default_rng(7)
    x = generator.gamma(2, size=66)
    y = x + 0.3 * generator.gamma(2, size=66)
    square = to_square(y)
    orders = [generator.permutation(12) for _ in range(400)]
    shuffled = np.stack([to_condensed(square[np.ix_(order, order)]) for order in orders])
    values = COMPARATORS[name].compare(x, shuffled)
    error = values.std(ddof=1) / np.sqrt(len(values))
    chance = COMPARATORS[name].chance(x, y)
    assert abs(values.mean() - chance) < 3 * error
    assert COMPARATORS[name].compare(x, y[None])[0] > chance + 20 * error


@pytest.mark.parametrize("given_name", ["tau_a", "tau-a", "kendall-tau-a", "kendall_tau_a"])
def test_tau_a_answers_to_its_names(given_name):
    assert find_comparator(given_name) == "kendall_tau_a"


def test_unknown_comparator_shows_the_closest():
    with pytest.raises(UnknownNameError, match="Did you mean 'spearman'"):
        find_comparator("speerman")


@pytest.mark.data
def test_monkey_and_human_inferior_temporal_cortex(mirror):
    matrices = scipy.io.loadmat(mirror / KRIEGESKORTE)["RDMs_mIT_hIT_fig1"]["RDM"][0]
    monkey, human = (np.asarray(matrix, dtype=float).ravel() for matrix in matrices)
    assert len(monkey) == 4186
    value = COMPARATORS["spearman"].compare(monkey, human[None])[0]
    assert value == pytest.approx(0.439, abs=0.002)
    for name in COMPARATORS:
        np.testing.assert_allclose(
            COMPARATORS[name].compare(monkey, human[None]), oracle(monkey, human[None], name), atol=1e-10
        )
