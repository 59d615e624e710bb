"""Tangling against a naive loop, on curves whose tangling is known, and against its surrogates."""

import numpy as np
import pytest

from brainalign.errors import ResponsesError
from brainalign.metrics.tangling import TanglingKernel, tangling, tangling_metric
from brainalign.metrics.tensor_max_entropy import TensorMaximumEntropy, p_above
from brainalign.metrics.trajectories import Preprocessing

STEP = 0.01
TIMES = STEP * np.arange(100)
PLANE = TanglingKernel(2, Preprocessing("none", subtract_mean=False))


def circle(hertz: float = 1.0) -> np.ndarray:
    angle = 2 * np.pi * hertz * TIMES
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)[None]


def eight() -> np.ndarray:
    """A path that crosses itself at right angles."""
    angle = 2 * np.pi * TIMES + 0.3
    return np.stack([np.sin(angle), np.sin(angle) * np.cos(angle)], axis=1)[None]


def naive(x: np.ndarray, step: float) -> np.ndarray:
    states = [(x[c, t] + x[c, t + 1]) / 2 for c in range(len(x)) for t in range(x.shape[1] - 1)]
    speeds = [(x[c, t + 1] - x[c, t]) / step for c in range(len(x)) for t in range(x.shape[1] - 1)]
    centre = np.mean(states, axis=0)
    epsilon = 0.1 * np.mean([np.sum((state - centre) ** 2) for state in states])
    return np.array(
        [
            max(
                np.sum((v - w) ** 2) / (np.sum((a - b) ** 2) + epsilon)
                for b, w in zip(states, speeds, strict=True)
            )
            for a, v in zip(states, speeds, strict=True)
        ]
    )


@pytest.mark.parametrize("pairs", [4_000_000, 300])
def test_equals_a_loop_in_blocks_of_any_size(monkeypatch, pairs):
    monkeypatch.setattr("brainalign.metrics.tangling.MOST_PAIRS", pairs)
    x = np.random.default_rng(0).normal(size=(4, 15, 3)).cumsum(axis=1) + 5
    np.testing.assert_allclose(tangling(x, STEP), naive(x, STEP), rtol=1e-9)


def test_a_circle_has_the_tangling_of_opposite_states():
    # Velocities differ by ω times as much as states, which are 2r apart at most: ω² 4 / (4 + 0.1).
    speed = 2 * np.tan(np.pi * STEP) / STEP  # of the points half-way
    expected = speed**2 * 4 / 4.1
    np.testing.assert_allclose(tangling(circle(), STEP), expected, rtol=1e-3)
    assert PLANE.value(circle(), TIMES) == pytest.approx(expected, rel=1e-3)


def test_a_crossing_is_more_tangled_than_a_circle_of_the_same_period():
    values = tangling(eight(), STEP)
    middle = (eight()[0, 1:] + eight()[0, :-1]) / 2
    assert np.linalg.norm(middle[values.argmax()]) < 0.1
    assert PLANE.value(eight(), TIMES) > 3 * PLANE.value(circle(), TIMES)


def test_conditions_are_held_against_each_other():
    there_and_back = np.concatenate([circle(), circle()[:, ::-1]])
    assert PLANE.value(there_and_back, TIMES) > 10 * PLANE.value(circle(), TIMES)


def test_declared_invariances_and_the_unit_of_time():
    generator = np.random.default_rng(1)
    x = generator.normal(size=(5, 100, 10)).cumsum(axis=1)
    kernel = tangling_metric(4, normalise="none").kernel
    value = kernel.value(x, TIMES)
    rotation = np.linalg.qr(generator.normal(size=(10, 10)))[0]
    assert kernel.value(7 * x @ rotation + 3, TIMES) == pytest.approx(value, rel=1e-8)
    assert kernel.value(x[::-1], TIMES) == pytest.approx(value, rel=1e-8)
    assert kernel.value(x, 2 * TIMES) == pytest.approx(value / 4, rel=1e-8)


def test_dynamics_are_less_tangled_than_surrogates_and_surrogates_are_not():
    generator = np.random.default_rng(0)
    phases = 2 * np.pi * (TIMES[::2, None] + generator.uniform(size=(8, 1, 1)))
    flow = np.concatenate([np.cos(phases), np.sin(phases)], axis=2) * generator.uniform(0.5, 2, (8, 1, 1))
    x = flow @ np.linalg.qr(generator.normal(size=(6, 2)))[0].T + 0.01 * generator.normal(size=(8, 50, 6))
    null = PLANE.null(x, TIMES[::2], 39, np.random.default_rng(1))
    assert p_above(-PLANE.value(x, TIMES[::2]), -null) == 1 / 40
    surrogates = TensorMaximumEntropy.fit(x).sample(20, np.random.default_rng(3))
    ps = [p_above(-PLANE.value(each, TIMES[::2]), -null) for each in surrogates]
    assert 0.2 < np.mean(ps) < 0.8 and np.sum(np.array(ps) <= 0.05) < 5
    np.testing.assert_array_equal(PLANE.null(x, TIMES[::2], 39, np.random.default_rng(1)), null)


def test_one_state_has_no_tangling_and_bad_input_raises():
    assert np.isnan(tangling(np.ones((3, 5, 2)), STEP)).all()
    with pytest.raises(ResponsesError, match="8 components were asked for .* 2 at most"):
        TanglingKernel().value(circle(), TIMES)
    x = circle()
    x[0, 3, 0] = np.nan
    with pytest.raises(ResponsesError, match="Tangling was asked for of trajectories of which 1 values"):
        PLANE.value(x, TIMES)
