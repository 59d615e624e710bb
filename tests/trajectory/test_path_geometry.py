import numpy as np
import pytest
from scipy import stats

from brainalign.errors import BrainalignError, ResponsesError, UnknownNameError
from brainalign.trajectory.embedding import classical_scaling
from brainalign.trajectory.path_divergence import rules_apart
from brainalign.trajectory.path_geometry import (
    approach,
    arcs_of,
    chords_of,
    distances_to_regions,
    path_lengths,
    steps_towards,
)
from brainalign.trajectory.path_points import Point
from brainalign.trajectory.paths import paths_between

N_PAIRS = 45
STEPS = (0, 10, 20, 30, 40)
RSA = "rsa:compare=cosine"  # any vectors can be planted


def unit(generator, size=N_PAIRS):
    vector = generator.normal(size=size)
    return vector / np.linalg.norm(vector)


def arc(start, end, share):
    """Go a share of the way from one unit vector to another, along the sphere."""
    angle = np.arccos(start @ end)
    return (np.sin((1 - share) * angle) * start + np.sin(share * angle) * end) / np.sin(angle)


def run(vectors, rule="backprop", seed=0, steps=STEPS):
    return [
        Point("network", vector, "conv", rule, seed, step) for vector, step in zip(vectors, steps, strict=True)
    ]


def brain(*vectors, region="IT"):
    return [Point("subject", vector, region=region, subject=f"s{k}") for k, vector in enumerate(vectors)]


def going(shares, n_seeds=6, seed=0):
    """SIMULATED runs that go so far along the arc to a brain."""
    generator = np.random.default_rng(seed)
    target = unit(generator)
    points = brain(target)
    for k in range(n_seeds):
        start = unit(generator)
        points += run([arc(start, target, share) for share in shares], seed=k)
    return paths_between(points, RSA)


def test_a_path_towards_the_brain_is_found_to_approach_and_to_be_straight():
    paths = going((0, 0.1, 0.2, 0.4, 0.7))
    (row,) = approach(paths).itertuples()
    assert row.low < row.change < row.high < 0 and row.n_seeds == 6 and row.note == ""
    lengths = path_lengths(paths)
    assert lengths["straightness"].to_numpy() == pytest.approx(1.0)
    steps = steps_towards(paths)
    # Two chords of one circle from one point meet at half the difference of their arcs.
    whole = np.repeat(lengths["length"].to_numpy() / 0.7, 4)
    differences = np.tile(np.array([1 - 0.1, 0.9 - 0.1, 0.8 - 0.2, 0.6 - 0.3]), 6)
    assert steps["cosine"].to_numpy() == pytest.approx(np.cos(whole * differences / 2))
    assert (steps["cosine"] > steps["by_chance"]).all()


def test_a_path_away_from_the_brain_is_not_found_to_approach():
    paths = going((0.7, 0.4, 0.2, 0.1, 0.0))
    (row,) = approach(paths).itertuples()
    assert row.low > 0
    assert (steps_towards(paths)["cosine"] < 0).all()


def test_a_path_there_and_back_has_gone_nowhere():
    paths = going((0, 0.2, 0.4, 0.2, 0))
    (row,) = approach(paths).itertuples()
    assert row.change == pytest.approx(0, abs=1e-12)
    assert path_lengths(paths)["straightness"].to_numpy() == pytest.approx(0, abs=1e-6)
    assert (path_lengths(paths)["length"] > 0.4).all()


def test_the_interval_is_scipys_over_seeds_and_four_seeds_have_none():
    generator = np.random.default_rng(3)
    target, points = unit(generator), []
    for k in range(6):
        points += run([unit(generator) for _ in STEPS], seed=k)
    paths = paths_between([*points, *brain(target)], RSA)
    similarity = np.array([[point.kept @ target for point in points[k * 5 : k * 5 + 5]] for k in range(6)])
    changes = similarity[:, 0] - similarity[:, -1]
    expected = stats.ttest_1samp(changes, 0).confidence_interval(0.95)
    (row,) = approach(paths).itertuples()
    assert (row.change, row.low, row.high) == pytest.approx((changes.mean(), *expected))
    (row,) = approach(paths_between([*points[:20], *brain(target)], RSA)).itertuples()
    assert np.isnan(row.low) and row.note == "no interval: 4 seeds, it takes 5"


def test_cosines_are_those_in_the_full_space_of_classical_scaling():
    generator = np.random.default_rng(1)
    points = [*run([unit(generator) for _ in STEPS]), *brain(unit(generator))]
    paths = paths_between(points, RSA)
    found = steps_towards(paths)["cosine"].to_numpy()
    for places in (classical_scaling(chords_of(paths)), np.stack([point.kept for point in points])):
        step, towards = np.diff(places[:5], axis=0), places[5] - places[:4]
        lengths = np.linalg.norm(step, axis=1) * np.linalg.norm(towards, axis=1)
        assert found == pytest.approx((step * towards).sum(axis=1) / lengths)


def test_steps_without_a_direction_have_the_cosine_of_chance():
    """SIMULATED: the raw cosine is above 0 for steps that know nothing of the brain; the rest is not."""
    generator = np.random.default_rng(0)
    target, points = unit(generator), []
    for k in range(300):
        start = unit(generator)
        points += run([start, arc(start, unit(generator), 0.4)], seed=k, steps=(0, 1))
    steps = steps_towards(paths_between([*points, *brain(target)], RSA))
    beyond = steps["cosine"] - steps["by_chance"]
    error = beyond.std() / np.sqrt(len(beyond))
    assert abs(beyond.mean()) < 3 * error
    assert steps["cosine"].mean() > 10 * error


def test_distances_stand_beside_those_of_the_region_from_itself():
    generator = np.random.default_rng(2)
    subjects, halves = ([unit(generator) for _ in range(k)] for k in (3, 2))
    points = run([unit(generator) for _ in STEPS])
    paths = paths_between(
        [*points, *brain(*subjects), *(Point("half", half, region="IT") for half in halves)], RSA
    )
    table = distances_to_regions(paths)
    expected = [np.mean([1 - point.kept @ each for each in subjects]) for point in points]
    assert table["distance"].tolist() == pytest.approx(expected)
    floor = np.mean([1 - subjects[i] @ subjects[j] for i, j in ((0, 1), (0, 2), (1, 2))])
    assert table["between_subjects"].tolist() == pytest.approx([floor] * 5)
    assert table["between_halves"].tolist() == pytest.approx([1 - halves[0] @ halves[1]] * 5)


def test_arcs_obey_the_triangle_inequality_and_no_path_is_shorter_than_its_ends_are_apart():
    generator = np.random.default_rng(0)
    paths = paths_between([*run([unit(generator, 6) for _ in range(20)], steps=range(20))], RSA)
    arcs = arcs_of(paths)
    assert (arcs[:, None, :] <= arcs[:, :, None] + arcs[None, :, :] + 1e-12).all()
    # The dissimilarity that goes by the metric's name does not, which is why lengths are arcs.
    distance = paths.distance.values
    assert (distance[:, None, :] > distance[:, :, None] + distance[None, :, :] + 0.01).any()
    assert path_lengths(paths)["straightness"].item() < 1


def test_a_path_of_one_checkpoint_or_without_a_brain_is_an_error():
    generator = np.random.default_rng(0)
    one = paths_between([*run([unit(generator)], steps=(7,)), *brain(unit(generator))], RSA)
    with pytest.raises(
        BrainalignError, match=r"rule 'backprop', seed 0, layer 'conv' has the checkpoints \[7\]"
    ):
        path_lengths(one)
    twice = run([unit(generator), unit(generator)], steps=(7, 7))
    with pytest.raises(BrainalignError, match=r"checkpoints \[7, 7\]; it takes 2 or more, each once"):
        path_lengths(paths_between(twice, RSA))
    with pytest.raises(BrainalignError, match="no subject of any region"):
        approach(paths_between(run([unit(generator) for _ in STEPS]), RSA))


def two_rules(generator, n_seeds, apart, spread=0.3, steps=STEPS):
    """SIMULATED runs of two rules: a start shared by seed, then rules that lie so far apart."""
    centre, direction, points = unit(generator), unit(generator), []
    for seed in range(n_seeds):
        start = centre + spread * unit(generator)
        for sign, rule in ((0, "one"), (1, "other")):
            vectors = [start]
            for distance in apart:
                vectors.append(start + spread * unit(generator) + sign * distance * direction)
            points += run(vectors, rule, seed, steps)
    return paths_between(points, RSA)


def test_excess_is_that_of_a_plain_loop_and_0_at_a_shared_start():
    paths = two_rules(np.random.default_rng(0), 4, (0.1, 0.2, 0.3, 0.4))
    table, summary = rules_apart(paths, "one", "other")
    distance, key = (
        paths.distance.values,
        list(zip(*(paths[c].values for c in ("rule", "seed", "checkpoint")), strict=True)),
    )

    def between(a, s, b, r, step):
        return distance[key.index((a, s, step)), key.index((b, r, step))]

    pairs = [(s, r) for s in range(4) for r in range(4) if s != r]
    for row in table.itertuples():
        across = np.mean([between("one", s, "other", r, row.checkpoint) for s, r in pairs])
        own = np.mean(
            [between(rule, s, rule, r, row.checkpoint) for s, r in pairs for rule in ("one", "other")]
        )
        assert (row.between, row.within, row.excess) == pytest.approx((across, own, across - own))
    assert table["excess"][0] == pytest.approx(0, abs=1e-12) and table["p"][0] == 1
    assert summary["excess"] == pytest.approx(table["excess"][1:].mean())
    assert summary["note"] == "no interval: 4 seeds, it takes 5" and np.isnan(summary["low"])


def test_rules_that_differ_are_told_apart_and_rules_that_come_apart_diverge():
    paths = two_rules(np.random.default_rng(0), 7, (0.1, 0.4, 0.7, 1.0))
    table, summary = rules_apart(paths, "one", "other")
    assert summary["p"] == table["p"].iloc[-1] == 1 / 64
    assert summary["low"] > 0
    _, summary = rules_apart(two_rules(np.random.default_rng(0), 7, (1.0, 0.7, 0.4, 0.1)), "one", "other")
    assert summary["p"] == 1 / 64
    assert summary["high"] < 0


def test_false_alarms_of_the_permutation_test_are_nominal():
    """SIMULATED: rules that make no difference, with starts that both share."""
    generator = np.random.default_rng(0)
    found = [
        rules_apart(two_rules(generator, 6, (0, 0), steps=(0, 1, 2)), "one", "other")[1]["p"]
        for _ in range(150)
    ]
    for level in (2 / 32, 8 / 32):
        low, high = stats.binom.interval(0.999, 150, level)
        assert low <= np.sum(np.array(found) <= level) <= high


def test_many_seeds_are_swapped_at_random_and_the_same_seed_swaps_alike():
    paths = two_rules(np.random.default_rng(1), 13, (0.02, 0.02), steps=(0, 1, 2))
    first, second, third = (rules_apart(paths, "one", "other", seed=seed)[1]["p"] for seed in (0, 0, 1))
    assert first == second and abs(first - third) < 0.03
    assert round(first * 5000, 6) == int(round(first * 5000))


def test_rules_that_cannot_be_compared_say_why():
    generator = np.random.default_rng(0)
    one, other = ([unit(generator) for _ in STEPS] for _ in range(2))
    paths = paths_between([*run(one, "one", 0), *run(other, "other", 1)], RSA)
    with pytest.raises(
        BrainalignError, match=r"one \(seeds 0\) and other \(seeds 1\) share 0 seeds.*it takes 2"
    ):
        rules_apart(paths, "one", "other")
    with pytest.raises(UnknownNameError, match="rule of these paths 'otter'.*Did you mean 'other'"):
        rules_apart(paths, "one", "otter")
    with pytest.raises(UnknownNameError, match="layer of these paths 'fc'"):
        rules_apart(paths, "one", "other", "fc")
    with pytest.raises(BrainalignError, match="'one' was named twice"):
        rules_apart(paths, "one", "one")
    with pytest.raises(ResponsesError, match="there is none"):
        paths_between([], RSA)
