"""Paired differences between networks: pairing, seeds, and their intervals."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from rsatoolbox.util.inference_util import t_tests

from brainalign.compare.comparison import Outcome
from brainalign.compare.differences import (
    DIFFERENCES,
    Entry,
    benjamini_hochberg,
    holm,
    paired_differences,
)
from brainalign.compare.resampling import Resamples, interval

N_STIMULI, N_RESAMPLES = 50, 4000
RESAMPLES = Resamples.draw(N_RESAMPLES, N_STIMULI, 0, 0)
DIFFICULTY = np.random.default_rng(0).normal(size=N_STIMULI)


def outcome(values):
    """A mean over stimuli, whose sampling variance is known."""
    values = np.asarray(values, dtype=float)
    replicates = (RESAMPLES.stimuli @ values / N_STIMULI)[None]
    nothing = np.empty((0, 1 + N_RESAMPLES))
    return Outcome(float(values.mean()), 0.0, replicates, nothing, nothing)


def network(seed, advantage=0.0, own=0.1):
    """Values of a network that shares what is hard about each stimulus with the others."""
    return DIFFICULTY + advantage + own * np.random.default_rng(seed).normal(size=N_STIMULI)


def test_identical_networks_differ_by_exactly_nothing():
    one = outcome(network(1))
    row = paired_differences([Entry("a", -1, one), Entry("b", -1, one)], RESAMPLES).iloc[0]
    assert (row["difference"], row["low"], row["high"]) == (0.0, 0.0, 0.0)
    assert not row["better"]


def test_pairing_is_the_paired_t_test():
    x, y = network(1, advantage=0.05), network(2)
    row = paired_differences([Entry("a", -1, outcome(x)), Entry("b", -1, outcome(y))], RESAMPLES).iloc[0]
    expected = scipy.stats.ttest_rel(x, y).confidence_interval(0.95)
    assert row["difference"] == pytest.approx((x - y).mean(), abs=1e-12)
    np.testing.assert_allclose([row["low"], row["high"]], expected, atol=0.002)


def test_a_pair_is_surer_than_its_two_networks():
    x, y = outcome(network(1, advantage=0.1)), outcome(network(2))
    row = paired_differences([Entry("a", -1, x), Entry("b", -1, y)], RESAMPLES).iloc[0]
    alone = [interval(each.raw, *RESAMPLES.variance(each.replicates)) for each in (x, y)]
    assert row["high"] - row["low"] < 0.3 * min(high - low for low, high in alone)
    # The two intervals overlap, and yet the first network is better.
    assert alone[0][0] < alone[1][1]
    assert row["better"]


@pytest.mark.parametrize(("advantage", "better"), [(0.2, True), (0.0, False), (-0.2, False)])
def test_better_means_that_the_interval_lies_above_zero(advantage, better):
    entries = [Entry("a", -1, outcome(network(1, advantage))), Entry("b", -1, outcome(network(2)))]
    row = paired_differences(entries, RESAMPLES).iloc[0]
    assert row["better"] == better == (row["low"] > 0)
    swapped = paired_differences(entries[::-1], RESAMPLES).iloc[0]
    np.testing.assert_allclose([swapped["low"], swapped["high"]], [-row["high"], -row["low"]], atol=1e-12)


def test_every_pair_once_in_the_order_of_the_networks():
    entries = [Entry(name, -1, outcome(network(k))) for k, name in enumerate("cab")]
    table = paired_differences(entries, RESAMPLES)
    assert list(zip(table["network"], table["other"], strict=True)) == [("c", "a"), ("c", "b"), ("a", "b")]
    assert tuple(table.columns) == DIFFERENCES
    assert table["resampled"].unique().tolist() == ["stimuli"]


def test_one_network_has_no_pair():
    table = paired_differences([Entry("a", -1, outcome(network(1)))], RESAMPLES)
    assert len(table) == 0 and tuple(table.columns) == DIFFERENCES


def seeds(name, values):
    return [Entry(name, seed, outcome(each)) for seed, each in enumerate(values)]


def test_seeds_enter_as_their_mean_and_add_their_variance():
    ours, theirs = [network(k, 0.3 * k) for k in range(3)], network(9)
    row = paired_differences([*seeds("a", ours), Entry("b", -1, outcome(theirs))], RESAMPLES).iloc[0]
    means = np.mean(ours, axis=1)
    assert row["difference"] == pytest.approx(means.mean() - theirs.mean(), abs=1e-12)
    assert (row["seeds"], row["other_seeds"]) == (3, 1)
    of_stimuli = np.var(np.mean(ours, axis=0) - theirs, ddof=1) / N_STIMULI
    of_seeds = np.var(means, ddof=1) / 3
    total = of_stimuli + of_seeds
    # Welch and Satterthwaite.
    dof = total**2 / (of_stimuli**2 / (N_STIMULI - 1) + of_seeds**2 / 2)
    half = scipy.stats.t.ppf(0.975, dof) * np.sqrt(total)
    np.testing.assert_allclose(
        [row["low"], row["high"]], [row["difference"] - half, row["difference"] + half], rtol=0.01
    )


def test_seeds_that_agree_add_nothing():
    ours, theirs = network(1), network(2)
    several = paired_differences([*seeds("a", [ours] * 3), Entry("b", -1, outcome(theirs))], RESAMPLES).iloc[0]
    single = paired_differences(
        [Entry("a", 0, outcome(ours)), Entry("b", -1, outcome(theirs))], RESAMPLES
    ).iloc[0]
    for column in ("difference", "low", "high"):
        assert several[column] == pytest.approx(single[column], abs=1e-12)


def test_identical_networks_of_several_seeds_are_still_unsure():
    # Nothing is known of the seeds that were not run.
    values = [network(k, 0.1 * k) for k in range(3)]
    row = paired_differences([*seeds("a", values), *seeds("b", values)], RESAMPLES).iloc[0]
    assert row["difference"] == pytest.approx(0.0, abs=1e-12)
    assert row["low"] < 0 < row["high"]


def test_the_interval_over_seeds_covers_the_mean_of_all_seeds():
    # Networks whose true values spread over seeds, seen through a finite set of stimuli.
    generator = np.random.default_rng(3)
    covered = []
    for _ in range(400):
        values = [generator.normal(0.5, 0.1) + 0.05 * generator.normal(size=N_STIMULI) for _ in range(3)]
        other = 0.05 * generator.normal(size=N_STIMULI)
        replicates = Resamples.draw(200, N_STIMULI, 0, int(generator.integers(2**31)))
        entries = [
            Entry(
                name,
                seed,
                Outcome(
                    float(each.mean()),
                    0.0,
                    (replicates.stimuli @ each / N_STIMULI)[None],
                    *[np.empty((0, 201))] * 2,
                ),
            )
            for name, seed, each in [*(("a", k, value) for k, value in enumerate(values)), ("b", -1, other)]
        ]
        row = paired_differences(entries, replicates).iloc[0]
        covered.append(row["low"] < 0.5 < row["high"])
    # 400 trials of 0.95: three standard errors are 0.033.
    assert np.mean(covered) == pytest.approx(0.95, abs=0.033)


def test_a_network_without_a_value_has_no_difference():
    dead = Outcome.undefined(RESAMPLES, "dead")
    table = paired_differences([Entry("a", -1, outcome(network(1))), Entry("b", -1, dead)], RESAMPLES)
    row = table.iloc[0]
    assert pd.isna([row["difference"], row["low"], row["high"]]).all()
    assert not row["better"]
    both = paired_differences([Entry("a", -1, dead), Entry("b", -1, dead)], RESAMPLES).iloc[0]
    assert np.isnan(both["difference"])


def test_one_dead_seed_leaves_no_mean():
    entries = [*seeds("a", [network(1)]), Entry("a", 1, Outcome.undefined(RESAMPLES, "dead"))]
    row = paired_differences([*entries, Entry("b", -1, outcome(network(2)))], RESAMPLES).iloc[0]
    assert np.isnan(row["difference"]) and not row["better"]


def pair(x, y):
    return paired_differences([Entry("a", -1, outcome(x)), Entry("b", -1, outcome(y))], RESAMPLES).iloc[0]


@pytest.mark.parametrize("advantage", [0.0, 0.02, 0.04, 0.06])
def test_p_is_that_of_the_paired_t_test(advantage):
    x, y = network(1, advantage), network(2)
    # A mean over stimuli: the bootstrap's variance is the t-test's, but for 4000 draws instead of all.
    expected = scipy.stats.ttest_rel(x, y).pvalue
    assert pair(x, y)["p"] == pytest.approx(expected, rel=0.15, abs=0.01)
    assert pair(y, x)["p"] == pair(x, y)["p"]


def test_p_equals_that_of_rsatoolbox():
    x, y = outcome(network(1, 0.05)), outcome(network(2))
    variance, dof = RESAMPLES.variance(x.replicates - y.replicates)
    theirs = t_tests(np.array([[x.raw, y.raw]]), np.array([variance]), dof)[0, 1]
    ours = paired_differences([Entry("a", -1, x), Entry("b", -1, y)], RESAMPLES).iloc[0]
    assert ours["p"] == pytest.approx(theirs, rel=1e-10)


@pytest.mark.parametrize("seed", range(20))
def test_p_and_interval_say_the_same(seed):
    row = pair(network(seed, 0.035), network(seed + 100))
    excludes_zero = row["low"] > 0 or row["high"] < 0
    assert (row["p"] < 0.05) == excludes_zero
    assert row["better"] == (row["low"] > 0)


def test_what_differs_by_rounding_alone_does_not_differ():
    x = network(1)
    row = pair(x, x * (1 + 1e-15))
    assert row["p"] > 0.9 and not row["better"]
    assert pair(x, x)["p"] == 1.0


def three_networks(seed, advantages):
    return [
        Entry(name, -1, outcome(network(seed + k, each))) for k, (name, each) in enumerate(advantages.items())
    ]


def test_a_table_is_corrected_for_its_pairs():
    table = paired_differences(three_networks(3, {"a": 0.06, "b": 0.0, "c": 0.03}), RESAMPLES)
    p = table["p"].to_numpy()
    first, second, third = np.argsort(p)
    holm_by_hand = np.empty(3)
    holm_by_hand[first] = 3 * p[first]
    holm_by_hand[second] = max(3 * p[first], 2 * p[second])
    holm_by_hand[third] = max(3 * p[first], 2 * p[second], p[third])
    np.testing.assert_allclose(table["p_holm"], np.minimum(holm_by_hand, 1), rtol=1e-12)
    np.testing.assert_allclose(table["p_fdr"], scipy.stats.false_discovery_control(p), rtol=1e-12)


def test_one_pair_needs_no_correction():
    row = pair(network(1, 0.03), network(2))
    assert row["p"] == row["p_holm"] == row["p_fdr"]


def test_a_pair_without_a_value_counts_for_no_correction():
    dead = Entry("dead", -1, Outcome.undefined(RESAMPLES, "dead"))
    living = three_networks(3, {"a": 0.06, "b": 0.0, "c": 0.03})
    alone = paired_differences(living, RESAMPLES)
    beside = paired_differences([*living, dead], RESAMPLES)
    involved = (beside["network"] == "dead") | (beside["other"] == "dead")
    assert beside.loc[involved, ["p", "p_holm", "p_fdr"]].isna().all(axis=None)
    for column in ("p", "p_holm", "p_fdr"):
        np.testing.assert_array_equal(beside.loc[~involved, column], alone[column])


def p_values(min_size=1):
    return st.lists(st.one_of(st.floats(0, 1), st.just(0.02)), min_size=min_size, max_size=12).map(np.array)


@given(p=p_values())
def test_benjamini_hochberg_is_scipys(p):
    np.testing.assert_allclose(benjamini_hochberg(p), scipy.stats.false_discovery_control(p), atol=1e-15)


@given(p=p_values(), level=st.floats(0.001, 0.999))
def test_holm_rejects_step_by_step(p, level):
    # Holm's procedure as he gives it: the smallest first, each against level / (tests left), until one fails.
    rejected = np.zeros(len(p), dtype=bool)
    for left, place in zip(range(len(p), 0, -1), np.argsort(p, kind="stable"), strict=True):
        if p[place] * left > level:
            break
        rejected[place] = True
    np.testing.assert_array_equal(holm(p) <= level, rejected)


@given(p=p_values(), where=st.integers(0, 12))
def test_corrections_pass_over_missing_values(p, where):
    with_missing = np.insert(p, min(where, len(p)), np.nan)
    for correct in (holm, benjamini_hochberg):
        corrected = correct(with_missing)
        np.testing.assert_array_equal(np.isnan(corrected), np.isnan(with_missing))
        np.testing.assert_array_equal(corrected[~np.isnan(corrected)], correct(p))
        assert (correct(p) >= p * (1 - 1e-12)).all() and (correct(p) <= 1).all()


def test_the_corrections_of_no_tests():
    assert holm(np.array([])).size == benjamini_hochberg(np.array([])).size == 0
    assert np.isnan(holm(np.array([np.nan]))).all()
