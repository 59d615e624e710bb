import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import binom

from brainalign.errors import BrainalignError, ResponsesError
from brainalign.trajectory.differentiation import (
    d_prime,
    differentiation,
    half_time,
    masks_of,
    separation,
    which_first,
)

N, STEPS = 24, list(range(0, 300, 15))
LABELS = pd.DataFrame({"animate": np.arange(N) // 12, "category": np.arange(N) // 4}).astype(str)


def deep_linear(generator, strengths=(3.0, 2.0, 0.7), rate=0.05, start=1e-3):
    """SIMULATED: hidden representations of a deep linear network that learns a tree of items.

    Each node of the tree (2 branches, 6 twigs, 24 items) has features of its own. Singular mode k of items ×
    features, of strength s, is learned as a(t) = s e^(2 s t r) / (e^(2 s t r) − 1 + s / a(0)) (Saxe et al.
    2019, eq. 6), and a hidden layer holds its items by √a(t).
    """
    nodes = [np.eye(2)[np.arange(N) // 12], np.eye(6)[np.arange(N) // 4], np.eye(N)]
    features = np.hstack(
        [
            strength
            * node
            / np.linalg.norm(node, axis=0)
            @ np.linalg.qr(generator.normal(size=(60, node.shape[1])))[0].T
            for node, strength in zip(nodes, strengths, strict=True)
        ]
    )
    items, s, _ = np.linalg.svd(features, full_matrices=False)
    grown = [s / (1 + (s / start - 1) * np.exp(-2 * s * t * rate)) for t in STEPS]
    return np.stack([pdist(items * np.sqrt(a), "sqeuclidean") for a in grown])[None]


def test_a_tree_that_a_deep_linear_network_learns_comes_apart_coarse_first():
    found = differentiation(deep_linear(np.random.default_rng(0)), STEPS, LABELS, n_resamples=200)
    (row,) = which_first(found).itertuples()
    assert row.first == "animate" and row.low > 0 and row.defined == 1
    assert (found["p"].isel(checkpoint=-1) < 0.01).all()
    assert (found["separation"].isel(checkpoint=-1) > found["chance"].isel(checkpoint=-1)).all()
    assert (found["low"] <= found["separation"] + 1e-9).all() and (
        found["separation"] <= found["high"] + 1e-9
    ).all()


def test_a_tree_of_strong_twigs_comes_apart_fine_first():
    found = differentiation(
        deep_linear(np.random.default_rng(0), (0.9, 3.0, 0.7)), STEPS, LABELS, n_resamples=200
    )
    (row,) = which_first(found).itertuples()
    assert row.first == "category" and row.high < 0


def test_levels_that_come_apart_together_are_not_put_in_order():
    """SIMULATED: both levels' shares of the noise-like rest grow by one course."""
    generator = np.random.default_rng(0)
    coarse, fine = (
        generator.normal(size=(2, 40))[np.arange(N) // 12],
        generator.normal(size=(6, 40))[np.arange(N) // 4],
    )
    items = 2 * generator.normal(size=(N, 40))
    grown = 1 / (1 + np.exp(-(np.array(STEPS) - 150) / 25))
    rdms = np.stack([pdist(share * (coarse + fine) + items) for share in grown])[None]
    (row,) = which_first(differentiation(rdms, STEPS, LABELS, n_resamples=200)).itertuples()
    assert row.first == "" and row.low < 0 < row.high


def test_shuffled_labels_separate_nothing():
    generator = np.random.default_rng(1)
    rdms = deep_linear(generator)
    alarms = []
    for _ in range(40):
        order = generator.permutation(N)
        found = differentiation(
            rdms, STEPS, LABELS.iloc[order], n_resamples=19, seed=int(generator.integers(1e6))
        )
        alarms.append((found["p"].isel(checkpoint=-1) <= 0.05).values)
    low, high = binom.interval(0.999, 80, 0.05)
    assert low <= np.sum(alarms) <= high


def test_separation_and_d_prime_are_those_of_plain_loops_inside_each_category_above():
    rdm = np.random.default_rng(0).uniform(size=N * (N - 1) // 2)
    square = squareform(rdm)
    for level, name in enumerate(LABELS.columns):
        separations, primes = [], []
        for members in [range(N)] if level == 0 else [range(12), range(12, N)]:
            within, between = [], []
            for i in members:
                for j in members:
                    if j < i:
                        (within if LABELS[name][i] == LABELS[name][j] else between).append(square[i, j])
            b, w = np.mean(between), np.mean(within)
            separations.append((b - w) / (b + w))
            primes.append((b - w) / np.sqrt((np.var(between) + np.var(within)) / 2))
        masks = masks_of(LABELS, level)
        assert separation(rdm, masks).item() == pytest.approx(np.mean(separations))
        assert d_prime(rdm, masks).item() == pytest.approx(np.mean(primes))
        assert separation(7 * rdm, masks).item() == pytest.approx(separation(rdm, masks).item())


def test_categories_above_of_different_size_and_spread_separate_nothing_below():
    """SIMULATED: one half is spread widely and in many small categories, the other narrowly and in two."""
    generator = np.random.default_rng(0)
    labels = pd.DataFrame(
        {"half": np.arange(N) // 12, "part": [*(np.arange(12) // 2), *(6 + np.arange(12) // 6)]}
    )
    found = []
    for _ in range(200):
        items = generator.normal(size=(N, 30)) * np.where(np.arange(N) < 12, 4, 1)[:, None]
        found.append(separation(pdist(items), masks_of(labels, 1)).item())
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(200)


def test_weights_are_copies_whose_pairs_with_themselves_are_dropped():
    generator = np.random.default_rng(0)
    rdm = generator.uniform(size=N * (N - 1) // 2)
    counts = generator.multinomial(N, np.full(N, 1 / N))
    rows = np.repeat(np.arange(N), counts)
    weights = squareform(np.outer(counts, counts), checks=False).astype(float)
    square, labels = squareform(rdm)[np.ix_(rows, rows)], LABELS.iloc[rows]
    for level in (0, 1):
        first, second = np.triu_indices(len(rows), 1)
        others = rows[first] != rows[second]
        inside = [(within & others, between) for within, between in masks_of(labels, level)]
        expected = separation(square[first, second], inside).item()
        assert separation(rdm, masks_of(LABELS, level), weights).item() == pytest.approx(expected)


def test_a_curve_that_does_not_rise_has_no_half_time_and_puts_nothing_in_order():
    assert half_time(np.array([0.0, 1.0, 1.0]), [0, 10, 20]) == 5
    assert np.isnan(half_time(np.array([1.0, 2.0, 0.5]), [0, 10, 20]))
    backwards = deep_linear(np.random.default_rng(0))[:, ::-1]
    (row,) = which_first(differentiation(backwards, STEPS, LABELS, n_resamples=50)).itertuples()
    assert row.defined == 0 and np.isnan(row.later) and row.first == ""


def test_the_same_seed_gives_the_same_and_runs_are_averaged():
    runs = np.concatenate([deep_linear(np.random.default_rng(k)) for k in (0, 1)])
    first, second = (differentiation(runs, STEPS, LABELS, n_resamples=20, seed=4) for _ in range(2))
    assert first.identical(second) and first.attrs["n_runs"] == 2
    alone = [differentiation(runs[[k]], STEPS, LABELS, n_resamples=1)["separation"].values for k in (0, 1)]
    assert first["separation"].values == pytest.approx(np.mean(alone, axis=0))


def test_what_cannot_be_followed_is_an_error():
    rdms = deep_linear(np.random.default_rng(0))
    broken = rdms.copy()
    broken[0, 3, 7] = np.nan
    with pytest.raises(ResponsesError, match="hold NaN or infinite values"):
        differentiation(broken, STEPS, LABELS)
    with pytest.raises(
        ResponsesError, match=r"shape \(1, 20, 276\) do not fit 20 steps and labels of 23 stimuli"
    ):
        differentiation(rdms, STEPS, LABELS.iloc[1:])
    with pytest.raises(BrainalignError, match=r"2 ascending steps or more; given \[5\]"):
        differentiation(rdms[:, :1], [5], LABELS)
    with pytest.raises(BrainalignError, match="'animate' has a category in several categories of 'category'"):
        differentiation(rdms, STEPS, LABELS[["category", "animate"]])
    with pytest.raises(BrainalignError, match="'item' has no pairs both within and between"):
        differentiation(rdms, STEPS, LABELS.assign(item=np.arange(N)))
    with pytest.raises(BrainalignError, match="'all' has no pairs both within and between"):
        differentiation(rdms, STEPS, LABELS.assign(all="x")[["all", "animate"]])
    with pytest.raises(BrainalignError, match="Some stimuli have no label"):
        differentiation(rdms, STEPS, LABELS.where(LABELS["category"] != "2"))
