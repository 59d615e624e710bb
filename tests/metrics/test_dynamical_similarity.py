"""Dynamical similarity of one dynamics in other units and conditions, and of others; a package that lacks."""

import sys

import numpy as np
import pytest
import scipy.linalg

from brainalign.errors import BrainalignError, ResponsesError
from brainalign.metrics.dynamical_similarity import DynamicalSimilarityKernel, dynamical_similarity

TIMES = 0.02 * np.arange(60)
KERNEL = DynamicalSimilarityKernel(n_components=4, n_delays=1, rank=4)


def moving(hertz: tuple[float, float], seed: int, n_conditions: int = 8, n_units: int = 12) -> np.ndarray:
    """Two damped rotations, driven a little by noise, seen by units that mix them isometrically."""
    generator = np.random.default_rng(seed)
    turns = [np.array([[0, 1], [-1, 0]]) * 2 * np.pi * f - 0.3 * np.eye(2) for f in hertz]
    step = scipy.linalg.expm(0.02 * scipy.linalg.block_diag(*turns))
    states = [generator.normal(size=(n_conditions, 4))]
    for _ in TIMES[1:]:
        states.append(states[-1] @ step + 0.02 * generator.normal(size=(n_conditions, 4)))
    return np.stack(states, axis=1) @ np.linalg.qr(generator.normal(size=(n_units, 4)))[0].T


def compare(model, brain, times, kernel=KERNEL, seed=0) -> float:
    return kernel.compare(model, brain, times, np.random.default_rng(seed))


@pytest.fixture(autouse=True)
def package():
    pytest.importorskip("DSA", reason="dsa-metric is not installed")


def test_a_population_is_like_itself_in_other_units():
    x = moving((2.0, 1.0), 0)
    rotation = np.linalg.qr(np.random.default_rng(9).normal(size=(12, 12)))[0]
    assert compare(x, 3 * x @ rotation + 1, TIMES) == pytest.approx(1, abs=2e-3)


def test_the_same_dynamics_are_alike_whatever_the_conditions_and_others_less_so():
    brain = moving((2.0, 1.0), 0)
    same = compare(moving((2.0, 1.0), 1, n_conditions=5, n_units=20), brain, TIMES)
    near = compare(moving((3.0, 1.5), 1), brain, TIMES)
    far = compare(moving((8.0, 6.0), 1), brain, TIMES)
    assert same > 0.99 and same > near + 1e-3 and near > far + 0.05


def test_order_of_conditions_and_of_sides_does_not_matter():
    model, brain = moving((4.0, 1.0), 1), moving((2.0, 1.0), 0)
    value = compare(model, brain, TIMES)
    assert compare(model[::-1], brain, TIMES) == pytest.approx(value, abs=1e-3)
    assert compare(brain, model, TIMES) == pytest.approx(value, abs=1e-2)
    assert compare(model, brain, TIMES) == value
    assert compare(model, brain, TIMES, seed=1) == pytest.approx(value, abs=1e-3)


def test_too_few_states_and_ranks_that_do_not_fit_raise():
    with pytest.raises(BrainalignError, match="rank 31 do not fit into 6 components × 5 delays; lower rank"):
        dynamical_similarity(rank=31)
    x = moving((2.0, 1.0), 0)
    with pytest.raises(ResponsesError, match="4 components × 60 delays, more than there are states"):
        compare(x, x, TIMES, DynamicalSimilarityKernel(4, 60, 4))
    x[0, 0, 0] = np.nan
    with pytest.raises(ResponsesError, match="Dynamical similarity was asked for of trajectories of which 1"):
        compare(moving((2.0, 1.0), 0), x, TIMES)


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "DSA", None)
    x = moving((2.0, 1.0), 0)
    with pytest.raises(BrainalignError, match=r'pip install "brainalign\[motor\]"'):
        compare(x, x, TIMES)
