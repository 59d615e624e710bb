"""Costs × regions on SIMULATED scores: what is planted is found, and what is not as rarely as it should be."""

import dataclasses

import numpy as np
import pytest

from brainalign.compare.committed import CommittedRegion
from brainalign.compare.comparison import Outcome
from brainalign.compare.differences import Entry
from brainalign.compare.resampling import Resamples
from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.trajectory.cost_table import cost_table
from brainalign.trajectory.told_apart import (
    TIE,
    additive,
    cost_effects,
    costs_told_apart,
    proportional,
)

N_COSTS, N_SEEDS, N_IMAGES, N_DRAWS = 5, 3, 60, 199
COSTS = [f"cost {c}" for c in range(N_COSTS)]
IMAGES = ("a", "b", "b", "c")
"""Images of each region; two regions have seen the same."""
LADDER = np.linspace(-0.6, 0.6, N_COSTS)[:, None]
EQUAL = np.zeros((N_COSTS, len(IMAGES)))


def region(name, images, values):
    """A region in which a network's score is the mean of its values over images, (cost, seed, image)."""
    resamples, none = Resamples.draw(300, values.shape[-1], 0, 0), np.empty((0, 301))
    entries = [
        Entry(cost, s, Outcome(float(own.mean()), 0.0, (resamples.stimuli @ own / len(own))[None], none, none))
        for cost, of_cost in zip(COSTS, values, strict=False)
        for s, own in enumerate(of_cost)
    ]
    return CommittedRegion("SIMULATED", name, "mean", (images,), resamples, tuple(entries))


def regions(seed, effects=EQUAL, own_images=1.0, n_seeds=N_SEEDS):
    """Regions in which images are hard for all, for a cost and for a seed, and seeds better or worse."""
    generator = np.random.default_rng(seed)
    of_seeds = 0.1 * generator.normal(size=(N_COSTS, n_seeds, len(IMAGES)))
    of_seeds += 0.1 * generator.normal(size=(N_COSTS, n_seeds, 1))
    found = []
    for r, images in enumerate(IMAGES):
        values = generator.normal(size=N_IMAGES) + generator.normal(size=(N_COSTS, n_seeds, N_IMAGES))
        values += own_images * generator.normal(size=(N_COSTS, 1, N_IMAGES))
        found.append(region(f"region {r}", images, values + (of_seeds + effects[:, None])[:, :, r, None]))
    return found


def p_values(seed, alike, **options):
    table = cost_table(regions(seed, **options), COSTS, n_draws=N_DRAWS, seed=seed)
    effects = cost_effects(table, alike)
    return dict(zip(effects["effect"], effects["p"], strict=True))


def share_found(effect, alike, draws=400, **options):
    return np.mean([p_values(seed, alike, **options)[effect] < 0.05 for seed in range(draws)])


STRETCHED = LADDER * np.array([1.0, 0.3, 0.6, 1.0])
CROSSED = LADDER * np.array([1.0, 1.0, 1.0, -1.0])


@pytest.mark.parametrize("alike", ["shift", "stretch"])
def test_seeds_of_one_cost_labelled_as_several_rarely_interact(alike):
    assert 0.025 <= share_found("interaction", alike, own_images=0.0) <= 0.05


@pytest.mark.parametrize(
    ("alike", "effects"), [("shift", LADDER + EQUAL), ("stretch", STRETCHED)], ids=["shift", "stretch"]
)
def test_costs_that_differ_alike_in_all_regions_rarely_interact(alike, effects):
    assert 0.025 <= share_found("interaction", alike, effects=effects) <= 0.075


@pytest.mark.parametrize("effect", ["cost", "region"])
def test_main_effects_are_honest(effect):
    assert 0.025 <= share_found(effect, "shift") <= 0.075


def test_a_best_cost_that_differs_by_region_is_found():
    for alike in ("shift", "stretch"):
        assert share_found("interaction", alike, draws=20, effects=CROSSED) >= 0.9


def test_a_stretch_is_an_interaction_only_beyond_a_shift():
    assert share_found("interaction", "shift", draws=20, effects=1.5 * STRETCHED) >= 0.9
    assert share_found("interaction", "stretch", draws=40, effects=1.5 * STRETCHED) <= 0.1


def test_one_cost_that_is_better_everywhere_is_a_main_effect():
    p = p_values(0, "shift", effects=LADDER + EQUAL)
    assert p["cost"] == 1 / (1 + N_DRAWS)
    assert p["interaction"] > 0.05


def test_errors_over_images_are_those_of_the_paired_t_test():
    alone = [dataclasses.replace(each, entries=each.entries[:2]) for each in regions(0, n_seeds=1)]
    table = cost_table(alone, COSTS[:2], n_draws=20_000)
    contrasts = table.by_images[:, 0] - table.by_images[:, 1]
    for drawn, each in zip(contrasts.T, alone, strict=True):
        first, second = (entry.outcome.replicates for entry in each.entries)
        assert drawn.var() == pytest.approx(each.resamples.variance(first - second)[0], rel=0.05)


def test_regions_of_the_same_images_share_the_samples_and_others_do_not():
    one = regions(0)[1]
    other = dataclasses.replace(one, stimuli=("others",))
    errors = cost_table([one, one, other], COSTS, n_draws=2000).by_images[:, 0]
    np.testing.assert_array_equal(errors[:, 0], errors[:, 1])
    assert abs(np.corrcoef(errors[:, 0], errors[:, 2])[0, 1]) < 0.1


def test_errors_over_seeds_have_the_covariance_of_residuals():
    table = cost_table(regions(0), COSTS, n_draws=20_000)
    residuals = (table.scores - table.scores.mean(axis=1, keepdims=True)).reshape(-1, len(IMAGES))
    expected = residuals.T @ residuals / (N_COSTS * (N_SEEDS - 1))
    found = np.cov(table.by_seeds[:, 0, 0].T)
    np.testing.assert_allclose(found, expected, atol=0.05 * expected.max())


def test_the_order_of_costs_and_networks_changes_no_statistic():
    given = regions(0, effects=CROSSED)
    mixed = [dataclasses.replace(each, entries=each.entries[::-1]) for each in given]
    first = cost_effects(cost_table(given, COSTS, n_draws=N_DRAWS), "shift")
    again = cost_effects(cost_table(mixed, COSTS, n_draws=N_DRAWS), "shift")
    np.testing.assert_allclose(first["statistic"], again["statistic"], rtol=1e-12)
    turned = cost_table(given, COSTS[::-1], n_draws=N_DRAWS)
    np.testing.assert_allclose(turned.scores[::-1], cost_table(given, COSTS, n_draws=2).scores, rtol=1e-12)


def test_a_units_scale_changes_no_p_beyond_a_stretch():
    table = cost_table(regions(0, effects=CROSSED), COSTS, n_draws=N_DRAWS)
    unit = np.array([1.0, 100.0, 0.01, 3.0])
    scaled = dataclasses.replace(
        table, scores=table.scores * unit, by_images=table.by_images * unit, by_seeds=table.by_seeds * unit
    )
    np.testing.assert_allclose(cost_effects(table)["p"], cost_effects(scaled)["p"], rtol=1e-12)


def test_fits_are_exact_on_their_own_tables():
    costs, shifts, stretch = np.array([0.1, 0.5, -0.3]), np.array([1.0, 2.0]), np.array([0.4, 3.0])
    np.testing.assert_allclose(additive(costs[:, None] + shifts), costs[:, None] + shifts, atol=1e-12)
    stretched = costs[:, None] * stretch + shifts
    np.testing.assert_allclose(proportional(stretched), stretched, atol=1e-9)
    assert np.abs(additive(stretched) - stretched).max() > 0.1
    # A region that ranks costs the other way round is no stretch: the fit leaves it flat.
    turned = costs[:, None] * np.array([3.0, -0.4])
    np.testing.assert_allclose(np.ptp(proportional(turned), axis=0), [3.0 * 0.8, 0.0], atol=1e-9)


def test_pairs_are_told_apart_or_called_ties():
    table = costs_told_apart(regions(0, effects=4 * (LADDER > 0.5) + EQUAL))
    of_best = (table[["network", "other"]] == COSTS[-1]).to_numpy().any(axis=1)
    verdicts, p = table["verdict"].to_numpy(), table["p_holm"].to_numpy(dtype=float)
    assert np.all(verdicts[of_best] == COSTS[-1])
    assert np.array_equal(verdicts == TIE, p >= 0.05)
    assert np.mean(verdicts[~of_best] == TIE) > 0.8
    assert len(table) == len(IMAGES) * N_COSTS * (N_COSTS - 1) / 2


def test_controls_stay_out_of_the_table():
    table = cost_table(regions(0), COSTS[1:], n_draws=2)
    assert table.costs == tuple(COSTS[1:])
    assert table.scores.shape == (N_COSTS - 1, N_SEEDS, len(IMAGES))


def test_bad_input_says_what_is_wrong():
    given = regions(0)
    with pytest.raises(BrainalignError, match="1 costs .* make no table"):
        cost_table(given, COSTS[:1])
    with pytest.raises(BrainalignError, match="same number of seeds.*cost 5: 0"):
        cost_table(given, [*COSTS, "cost 5"])
    short = [dataclasses.replace(given[0], entries=given[0].entries[1:]), *given[1:]]
    with pytest.raises(BrainalignError, match="same number of seeds.*cost 0: 2, cost 0: 3"):
        cost_table(short, COSTS)
    with pytest.raises(BrainalignError, match="no score in a region"):
        cost_table([without_values(given[0], raw=float("nan")), *given[1:]], COSTS)
    nothing = np.full((1, 300), np.nan)
    with pytest.raises(BrainalignError, match="Only 0 bootstrap samples"):
        cost_table([without_values(given[0], replicates=nothing), *given[1:]], COSTS)
    same = dataclasses.replace(
        given[0],
        entries=tuple(Entry(each.network, each.seed, given[0].entries[0].outcome) for each in given[0].entries),
    )
    with pytest.raises(BrainalignError, match="one and the same network"):
        cost_table([same, *given[1:]], COSTS)
    with pytest.raises(UnknownNameError, match="crossing"):
        cost_effects(cost_table(given, COSTS, n_draws=2), "crossing")


def without_values(given, **lacking):
    """The region with something lacking in its first network."""
    first, *others = given.entries
    entry = Entry(first.network, first.seed, dataclasses.replace(first.outcome, **lacking))
    return dataclasses.replace(given, entries=(entry, *others))
