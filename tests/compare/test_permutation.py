"""The permutation test against chance: by hand, by loops, and where the truth is known."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from scipy.spatial.distance import pdist, squareform

from brainalign.compare.permutation import (
    permutation_p_values,
    permutation_test,
    permuted_values,
    stimulus_orders,
)
from brainalign.compare.problems import FAMILIES
from brainalign.compare.rows import ALL_LAYERS
from brainalign.data import Recording
from brainalign.data.responses import make_rdms, make_responses
from brainalign.data.stimuli import StimulusSet
from brainalign.errors import BrainalignError, NeedsError
from brainalign.metrics import find_metric
from brainalign.metrics.comparators import COMPARATORS
from brainalign.metrics.permuted import NORMALISED, permuted_comparison
from brainalign.probing import Representation

N = 20
IDS = [f"s{i:02d}" for i in range(N)]


def features(seed, n=N, p=6):
    return np.random.default_rng(seed).normal(size=(n, p))


def layer(x, name="layer", ids=IDS):
    return Representation.from_features(x, ids[: len(x)], name)


def recording(responses, metadata=None, ids=IDS):
    ids = ids[: len(responses)]
    table = pd.DataFrame(index=pd.Index(ids, name="stimulus", dtype=object)) if metadata is None else metadata
    return Recording(
        "test",
        StimulusSet("test", table, None),
        {"V4": make_responses(responses, ids, region="V4", subject="m")},
    )


def tuned(x, noise=0.3, seed=1):
    """Units that read out some features."""
    generator = np.random.default_rng(seed)
    return x @ generator.normal(size=(x.shape[1], 5)) + noise * generator.normal(size=(len(x), 5))


def test_p_counts_the_orders_that_reach_the_observed_value():
    observed, permuted = np.array([2.0, 0.0]), np.array([[1.0, 2.0, 3.0, 0.0], [-1.0, -2.0, -3.0, 4.0]])
    p, _ = permutation_p_values(observed, permuted)
    assert p.tolist() == [3 / 5, 2 / 5]


def test_p_max_by_hand():
    generator = np.random.default_rng(0)
    observed, permuted = (
        generator.normal(1.0, 1.0, 4),
        generator.normal(size=(4, 60)) * np.array([[1, 5, 1, 9]]).T,
    )
    # Each layer on a scale of its own, the true order among the others.
    every = np.column_stack([observed, permuted])
    z = scipy.stats.zscore(every, axis=1)
    largest = [max(z[:, place]) for place in range(61)]
    expected = [sum(each >= value - 1e-10 for each in largest) / 61 for value in z[:, 0]]
    p, p_max = permutation_p_values(observed, permuted)
    assert p_max.tolist() == expected
    assert (p_max >= p).all()


def test_one_layer_needs_no_correction():
    p, p_max = permutation_p_values(np.array([1.0]), np.random.default_rng(0).normal(size=(1, 99)))
    assert p.tolist() == p_max.tolist()


def test_a_wide_layer_does_not_hide_a_narrow_one():
    generator = np.random.default_rng(0)
    permuted = generator.normal(size=(2, 999)) * np.array([[1.0], [0.01]])
    _, p_max = permutation_p_values(np.array([0.0, 0.1]), permuted)
    assert p_max[1] == 0.001


def test_values_that_differ_by_rounding_are_equal():
    p, p_max = permutation_p_values(np.array([0.3]), np.array([[0.3 - 1e-15, 0.3 + 1e-15, 0.2]]))
    assert p[0] == p_max[0] == 0.75


def test_an_order_without_a_value_counts_against():
    p, p_max = permutation_p_values(np.array([5.0, 5.0]), np.array([[np.nan, 0.0, 1.0], [0.0, 0.0, 1.0]]))
    assert p.tolist() == [0.5, 0.25]
    assert p_max.tolist() == [0.5, 0.5]


def test_a_layer_without_a_value_has_no_p_and_counts_for_no_correction():
    permuted = np.random.default_rng(0).normal(size=(2, 99))
    p, p_max = permutation_p_values(np.array([np.nan, 1.5]), permuted)
    alone = permutation_p_values(np.array([1.5]), permuted[1:])
    assert np.isnan([p[0], p_max[0]]).all()
    assert [p[1], p_max[1]] == [*alone[0], *alone[1]]


def test_orders_are_permutations_that_the_seed_decides():
    orders = stimulus_orders(9, 50, 3)
    assert (np.sort(orders, axis=1) == np.arange(9)).all()
    np.testing.assert_array_equal(orders, stimulus_orders(9, 50, 3))
    assert (orders != stimulus_orders(9, 50, 4)).any()


def test_all_orders_come_up_equally_often():
    drawn = [tuple(order) for order in stimulus_orders(3, 6000, 0).tolist()]
    counts = [drawn.count(order) for order in permutations(range(3))]
    assert sum(counts) == 6000
    assert scipy.stats.chisquare(counts).pvalue > 0.001


def test_stimuli_that_show_the_same_keep_company():
    groups = np.array(["c", "a", "b", "a", "b", "d", "e", "f", "f", "f"])
    orders = stimulus_orders(10, 300, 0, groups)
    assert (np.sort(orders, axis=1) == np.arange(10)).all()
    names = groups[orders]
    assert (names[:, 1] == names[:, 3]).all() and (names[:, 2] == names[:, 4]).all()
    # Pairs among pairs, single ones among single ones, and the only three among themselves.
    assert {*names[:, 1]} == {"a", "b"} and {*names[:, 0]} == {"c", "d", "e"} and {*names[:, 8]} == {"f"}
    # Within a group either stimulus may come first.
    assert {*orders[names[:, 1] == "a", 1].tolist()} == {1, 3}


@pytest.mark.parametrize("comparator", NORMALISED)
@pytest.mark.parametrize("ties", [False, True])
def test_rdms_in_new_orders_are_compared_as_one_by_one(comparator, ties):
    generator = np.random.default_rng(0)
    x, y = generator.gamma(2.0, size=(3, 45)), generator.gamma(2.0, size=(4, 45))
    if ties:
        x, y = np.ceil(x), np.ceil(y)
    orders = stimulus_orders(10, 7, 0)
    values = permuted_comparison(x, y, orders, comparator)
    for (row, place), value in np.ndenumerate(values):
        order = orders[place]
        permuted = squareform(squareform(x[row])[np.ix_(order, order)])
        assert value == pytest.approx(COMPARATORS[comparator].compare(permuted, y).mean(), abs=1e-12)


@pytest.mark.parametrize(
    "metric",
    [
        "rsa",
        "rsa:compare=cosine",
        "rsa:compare=kendall_tau_a",
        "cka",
        "procrustes",
        "ridge_fixed",
        "pls:n_components=2",
    ],
)
def test_values_are_those_of_features_in_new_orders(metric):
    x, orders = features(0), stimulus_orders(N, 3, 1)
    metric = find_metric(metric)
    region = make_responses(tuned(x), IDS, region="V4", subject="m")
    comparison = FAMILIES[metric.family](metric, region, "test", 2, 0)
    layers = [layer(x), layer(features(5), "other")]
    values = permuted_values(comparison, layers, orders)
    for place, order in enumerate(orders):
        renamed = [layer(each[order]) for each in (x, features(5))]
        expected = [outcome.raw for outcome in comparison.outcomes(renamed)]
        np.testing.assert_allclose(values[:, place], expected, atol=1e-10)


def test_a_layer_without_an_rdm_has_no_values():
    # One unit has no correlation distance.
    x = features(0)
    region = make_responses(tuned(x), IDS, region="V4", subject="m")
    comparison = FAMILIES["rdm"](find_metric("rsa"), region, "test", 2, 0)
    values = permuted_values(comparison, [layer(x[:, :1]), layer(x)], stimulus_orders(N, 3, 0))
    assert np.isnan(values[0]).all() and np.isfinite(values[1]).all()
    table = permutation_test(recording(tuned(x)), "V4", "rsa", [layer(x[:, :1]), layer(x)], 19)
    assert np.isnan(table["p"][0]) and table["p"][1] == 0.05


@pytest.mark.parametrize("metric", ["rsa", "rsa:rdm=euclidean,compare=rho_a", "cka", "ridge_fixed"])
def test_the_layer_that_is_read_out_is_found(metric):
    x = features(0)
    table = permutation_test(
        recording(tuned(x)), "V4", metric, [layer(x, "true"), layer(features(7), "other")], 49
    )
    assert table["layer"].tolist() == ["true", "other"]
    assert (table.loc[0, ["p", "p_max"]] == 0.02).all()
    assert table.loc[1, "p_max"] > 0.05
    assert (table["n_permutations"] == 49).all()


def test_p_is_exact_for_rsa_of_few_stimuli():
    # Against all 120 orders of five of the stimuli, by scipy, of a matrix of which the others are apart.
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=(2, 5, 4))
    rdm_x, rdm_y = pdist(x), pdist(y)
    square = squareform(rdm_x)
    every = [
        scipy.stats.spearmanr(squareform(square[np.ix_(order, order)]), rdm_y)[0]
        for order in map(list, permutations(range(5)))
    ]
    observed = scipy.stats.spearmanr(rdm_x, rdm_y)[0]
    exact = np.mean(np.array(every) >= observed - 1e-10)
    orders = stimulus_orders(5, 20_000, 0)
    values = permuted_comparison(rdm_x[None], rdm_y[None], orders, "spearman")
    p, _ = permutation_p_values(np.array([observed]), values)
    assert p[0] == pytest.approx(exact, abs=3 * np.sqrt(exact * (1 - exact) / 20_000))


def test_all_networks_see_the_same_orders():
    x = features(0)
    shown = recording(tuned(x))
    both = permutation_test(shown, "V4", "cka", [layer(features(3), "a"), layer(features(4), "b")], 50)
    one = permutation_test(shown, "V4", "cka", [layer(features(4), "b")], 50)
    assert both.loc[1, "p"] == one.loc[0, "p"]
    assert both.loc[1, "p_max"] >= one.loc[0, "p_max"]


def test_rows_of_a_layer_are_found_by_their_ids():
    x = features(0)
    turned = Representation.from_features(x[::-1], IDS[::-1], "layer")
    shown = recording(tuned(x))
    pd.testing.assert_frame_equal(
        permutation_test(shown, "V4", "rsa", [turned], 30), permutation_test(shown, "V4", "rsa", [layer(x)], 30)
    )


def test_images_that_are_shown_twice_change_places_together():
    # Ten images, each under two ids that answer alike, and a layer that has nothing to do with the region: its
    # p is that of the ten images, while the twenty ids taken one by one would nearly always look related.
    table = pd.DataFrame({"image": [f"i{k // 2}" for k in range(N)]}, index=pd.Index(IDS, name="stimulus"))
    x, y = (np.repeat(features(seed, 10, 4), 2, axis=0) for seed in (10, 11))
    metric = "rsa:rdm=euclidean,compare=pearson"
    by_image = permutation_test(recording(y, table), "V4", metric, [layer(x)], 2000)["p"][0]
    every = np.random.default_rng(0)
    rdms = [squareform(pdist(each)) for each in (x, y)]
    upper = np.triu_indices(N, 1)
    values = []
    for _ in range(2000):
        order = 2 * np.repeat(every.permutation(10), 2) + np.tile([0, 1], 10)
        values.append(np.corrcoef(rdms[0][np.ix_(order, order)][upper], rdms[1][upper])[0, 1])
    expected = np.mean(np.array(values) >= np.corrcoef(rdms[0][upper], rdms[1][upper])[0, 1] - 1e-10)
    assert by_image == pytest.approx(expected, abs=0.04)
    by_stimulus = permutation_test(recording(y), "V4", metric, [layer(x)], 2000)["p"][0]
    assert by_stimulus < by_image - 0.1


@pytest.mark.parametrize("n", [10, 12, 15, 20])
@pytest.mark.parametrize("metric", ["rsa", "cka", "ridge_fixed"])
def test_few_stimuli_have_a_p(metric, n):
    table = permutation_test(recording(tuned(features(0, n))), "V4", metric, [layer(features(0, n))], 19)
    assert 0.05 <= table["p"][0] <= 1 and table["p"][0] == table["p_max"][0]


def test_rdms_of_subjects_can_be_tested():
    generator = np.random.default_rng(0)
    x = features(0)
    rdms = np.stack([squareform(pdist(x) + generator.gamma(1.0, size=N * (N - 1) // 2)) for _ in range(4)])
    shown = Recording("people", None, {}, {"IT": make_rdms(rdms, IDS, [f"p{k}" for k in range(4)])})
    assert permutation_test(shown, "IT", "rsa:rdm=euclidean", [layer(x)], 99)["p"][0] == 0.01
    with pytest.raises(NeedsError, match="no responses, which cka needs"):
        permutation_test(shown, "IT", "cka", [layer(x)], 99)


def test_a_metric_that_joins_layers_gives_one_p():
    x = features(0)
    table = permutation_test(
        recording(tuned(x)), "V4", "ridge_banded", [layer(x[:, :3], "a"), layer(x[:, 3:], "b")], 19
    )
    assert table["layer"].tolist() == [ALL_LAYERS]
    assert table["p"][0] == 0.05


def test_too_few_permutations_raise():
    with pytest.raises(BrainalignError, match="18 permutations give no p value of .05; ask for 1000"):
        permutation_test(recording(tuned(features(0))), "V4", "rsa", [layer(features(0))], 18)
