"""Transport plans against linear programming, the Hungarian method, and their own marginals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment, linprog

from brainalign.metrics.transport import transport_plan


def dense(profit, supply=None):
    sources, targets, mass = transport_plan(profit, supply)
    assert (mass > 0).all()
    plan = np.zeros(profit.shape)
    plan[sources, targets] = mass
    assert np.count_nonzero(plan) == len(mass)
    return plan


def best_by_linear_programming(profit, supply):
    n_sources, n_targets = profit.shape
    rows = np.kron(np.eye(n_sources), np.ones(n_targets))
    columns = np.kron(np.ones(n_sources), np.eye(n_targets))
    masses = np.concatenate([supply / supply.sum(), np.full(n_targets, 1 / n_targets)])
    found = linprog(-profit.ravel(), A_eq=np.vstack([rows, columns]), b_eq=masses, bounds=(0, None))
    assert found.status == 0
    return -found.fun


@settings(max_examples=60)
@given(
    st.integers(1, 40), st.integers(1, 9), st.integers(0, 10_000), st.sampled_from(["real", "ties", "supply"])
)
def test_is_as_good_as_linear_programming(n_sources, n_targets, seed, kind):
    generator = np.random.default_rng(seed)
    profit = generator.normal(size=(n_sources, n_targets))
    if kind == "ties":
        profit = np.round(profit)
    supply = generator.integers(1, 30, n_sources) if kind == "supply" else np.ones(n_sources, dtype=np.int64)
    plan = dense(profit, supply)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / n_targets, rtol=1e-12)
    np.testing.assert_allclose(plan.sum(axis=1), supply / supply.sum(), rtol=1e-12)
    assert np.sum(plan * profit) == pytest.approx(best_by_linear_programming(profit, supply), abs=1e-9)


@pytest.mark.parametrize(("n_targets", "copies"), [(12, 1), (30, 2), (15, 40)])
def test_whole_shares_are_an_assignment(n_targets, copies):
    """With a whole number of sources a target the plan is an assignment to that many copies of each."""
    profit = np.random.default_rng(0).normal(size=(n_targets * copies, n_targets))
    profit += 0.5 * np.random.default_rng(1).normal(size=n_targets)  # favourites, so that many must yield
    rows, columns = linear_sum_assignment(np.repeat(profit, copies, axis=1), maximize=True)
    plan = dense(profit)
    assert np.sum(plan * profit) * len(profit) == pytest.approx(profit[rows, columns // copies].sum(), abs=1e-9)
    np.testing.assert_array_equal(plan.argmax(axis=1), columns // copies)
    assert np.count_nonzero(plan) == len(profit)


def test_few_sources_are_shared():
    plan = dense(np.random.default_rng(2).normal(size=(500, 23)))
    assert len(plan) <= np.count_nonzero(plan) <= len(plan) + 23 - 1


def test_a_favourite_of_all_is_shared_by_what_the_others_lose():
    profit = np.array([[5.0, 4.0], [5.0, 1.0], [5.0, 0.0], [5.0, 4.5]])
    np.testing.assert_allclose(dense(profit) * 4, [[0, 1], [1, 0], [1, 0], [0, 1]])


def test_all_alike_and_a_single_pair():
    plan = dense(np.zeros((7, 3)))
    np.testing.assert_allclose(plan.sum(axis=0), 1 / 3)
    assert dense(np.array([[-2.0]])).item() == 1.0


def test_profits_are_left_as_they_are_and_any_order_in_memory_will_do():
    profit = np.random.default_rng(3).normal(size=(40, 6))
    before = profit.copy()
    first, second = dense(profit), dense(np.asfortranarray(profit))
    np.testing.assert_array_equal(profit, before)
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_a_wide_layer():
    generator = np.random.default_rng(4)
    profit = generator.normal(size=(168 * 25, 168)) + 0.5 * generator.normal(size=168)
    rows, columns = linear_sum_assignment(np.repeat(profit, 25, axis=1), maximize=True)
    assert np.sum(dense(profit) * profit) * len(profit) == pytest.approx(profit[rows, columns // 25].sum())
