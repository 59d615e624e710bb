"""Paired differences between networks: pairing, seeds, and their intervals."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from brainalign.compare.comparison import Outcome
from brainalign.compare.differences import DIFFERENCES, Entry, paired_differences
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
