"""Pairs of units against the Hungarian method and linear programming on all correlations."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, linprog

from brainalign.errors import ResponsesError
from brainalign.metrics import matching
from brainalign.metrics.matching import one_to_one_pairs, soft_pairs

N = 50
ROWS = np.arange(0, N, 2)


def sides(p, q, seed=0):
    """Features and responses that have something in common, on all stimuli and on those of `ROWS`."""
    generator = np.random.default_rng(seed)
    hidden = generator.normal(size=(N, 4))
    x = hidden @ generator.normal(size=(4, p)) + generator.normal(size=(N, p))
    y = hidden @ generator.normal(size=(4, q)) + generator.normal(size=(N, q))
    return x.astype(np.float32), y


def all_correlations(x, y):
    return np.corrcoef(x[ROWS].T.astype(float), y[ROWS].T)[: x.shape[1], x.shape[1] :]


@pytest.fixture(params=[7, 2048])
def block(request, monkeypatch):
    monkeypatch.setattr(matching, "BLOCK", request.param)


@pytest.mark.parametrize(("p", "q"), [(5, 9), (9, 9), (1, 4), (30, 1), (120, 11), (400, 6)])
def test_one_to_one_is_the_best_assignment_of_all_units(p, q, block):
    for seed in range(5):
        x, y = sides(p, q, seed)
        correlation = all_correlations(x, y)
        network, region = linear_sum_assignment(correlation, maximize=True)
        pairs = one_to_one_pairs(x, ROWS, y[ROWS])
        assert set(zip(pairs.network, pairs.region, strict=True)) == set(zip(network, region, strict=True))
        np.testing.assert_array_equal(pairs.share, 1.0)


def test_many_units_that_want_the_same_partner_each_get_their_own():
    """All of the region's units look alike, so that their best network units are the same."""
    generator = np.random.default_rng(0)
    common = generator.normal(size=(N, 1))
    x = common + 0.3 * generator.normal(size=(N, 200))
    y = common + 0.3 * generator.normal(size=(N, 20))
    correlation = all_correlations(x, y)
    network, region = linear_sum_assignment(correlation, maximize=True)
    pairs = one_to_one_pairs(x, ROWS, y[ROWS])
    assert len(set(pairs.network)) == 20
    assert correlation[pairs.network, pairs.region].sum() == pytest.approx(correlation[network, region].sum())


def test_shuffled_and_noisy_copies_are_found_and_mirrored_ones_are_not():
    generator = np.random.default_rng(1)
    y = generator.normal(size=(N, 15))
    order = generator.permutation(15)
    x = np.column_stack([y[:, order] + 0.1 * generator.normal(size=(N, 15)), -y])
    pairs = one_to_one_pairs(x, ROWS, y[ROWS])
    assert dict(zip(pairs.network.tolist(), pairs.region.tolist(), strict=True)) == dict(enumerate(order))


def test_silent_units_correlate_with_nothing(block):
    x, y = sides(30, 4)
    x[:, ::2] = 3.3  # constant, though not in the last place of a mean in float32
    pairs = one_to_one_pairs(x, ROWS, y[ROWS])
    assert (pairs.network % 2 == 1).all()
    soft = soft_pairs(x, ROWS, y[ROWS])
    assert (soft.network % 2 == 1).all()
    # Half of the mass sits on silent units; each unit of the region is short of it in its shares.
    assert soft.share.sum() == pytest.approx(0.5 * 4)


@pytest.mark.parametrize(("p", "q"), [(5, 9), (12, 6), (60, 8), (1, 3), (3, 1)])
def test_soft_shares_are_the_best_plan(p, q, block):
    x, y = sides(p, q, 2)
    x[:, 0] += np.arange(N)
    correlation = all_correlations(x, y)
    pairs = soft_pairs(x, ROWS, y[ROWS])
    plan = np.zeros((p, q))
    plan[pairs.network, pairs.region] = pairs.share
    np.testing.assert_allclose(plan.sum(axis=0), 1.0)
    np.testing.assert_allclose(plan.sum(axis=1), q / p)
    equal = np.vstack([np.kron(np.eye(p), np.ones(q)), np.kron(np.ones(p), np.eye(q))])
    masses = np.concatenate([np.full(p, q / p), np.ones(q)])
    best = linprog(-correlation.ravel(), A_eq=equal, b_eq=masses, bounds=(0, None))
    assert np.sum(plan * correlation) == pytest.approx(-best.fun, abs=1e-8)


def test_as_many_silent_units_as_there_are_make_one():
    x, y = sides(20, 3)
    silent = np.column_stack([x, np.full((N, 500), 0.1, dtype=np.float32)])
    pairs = soft_pairs(silent, ROWS, y[ROWS])
    assert pairs.network.max() < 20
    assert pairs.share.sum() == pytest.approx(3 * 20 / 520)


def test_a_layer_too_wide_is_refused_with_the_ways_out(monkeypatch):
    monkeypatch.setattr(matching, "MOST_PAIRS", 100)
    x, y = sides(30, 4)
    with pytest.raises(ResponsesError, match=r"30 network units with 4 .* 'sample:25'.* or use one_to_one"):
        soft_pairs(x, ROWS, y[ROWS])


def test_features_are_left_as_they_are():
    x, y = sides(30, 4)
    before = x.copy(), y.copy()
    one_to_one_pairs(x, ROWS, y[ROWS])
    soft_pairs(x, ROWS, y[ROWS])
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])
