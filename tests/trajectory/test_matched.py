import numpy as np
import pytest

from brainalign.errors import BrainalignError
from brainalign.trajectory.curves import LABELS, Curve
from brainalign.trajectory.matched import (
    at_performance,
    at_step,
    compared_at_performance,
    compared_at_steps,
)

STEPS = np.array([0.0, 1, 10, 100, 1000])


def curve(values, seeds=None, steps=STEPS) -> Curve:
    values = np.atleast_2d(np.asarray(values, dtype=float))
    return Curve(
        dict.fromkeys(LABELS, "rule"), values, steps, tuple(range(len(values))) if seeds is None else seeds
    )


def rules(gain: dict[str, float], speed: dict[str, float], noise: float = 0.002) -> tuple[dict, dict]:
    """Give accuracies that rise at a speed, and brain scores that are a gain times accuracy."""
    rng = np.random.default_rng(0)
    learned = np.log10(1 + STEPS) / 3
    performance = {rule: curve(0.1 + speed[rule] * learned + 0 * rng.standard_normal((5, 1))) for rule in gain}
    brain = {
        rule: curve(gain[rule] * performance[rule].values + noise * rng.standard_normal((5, len(STEPS))))
        for rule in gain
    }
    return performance, brain


def test_a_level_is_found_between_checkpoints():
    assert at_performance(curve([0.1, 0.2, 0.2, 0.6, 0.5]), curve([0, 1, 2, 4, 8]), 0.4) == pytest.approx([3])
    assert at_performance(curve([0.1, 0.2, 0.2, 0.6, 0.5]), curve([0, 1, 2, 4, 8]), 0.2) == pytest.approx([1])


def test_the_first_crossing_counts_where_performance_falls_again():
    assert at_performance(curve([0.1, 0.5, 0.2, 0.6, 0.7]), curve([0, 1, 2, 4, 8]), 0.3) == pytest.approx([0.5])


@pytest.mark.parametrize("level", [0.05, 0.9])
def test_a_level_that_is_never_crossed_has_no_value(level):
    assert np.isnan(at_performance(curve([0.1, 0.2, 0.3, 0.4, 0.5]), curve([0, 1, 2, 3, 4]), level)).all()


def test_slow_and_fast_learners_tie_at_the_same_performance_and_differ_after_the_same_steps():
    performance, brain = rules({"fast": 1.0, "slow": 1.0}, {"fast": 0.8, "slow": 0.3})
    assert compared_at_performance(performance, brain, [0.3])["verdict"].tolist() == ["tie"]
    row = compared_at_steps(brain, [1000]).iloc[0]
    assert row["verdict"] == "fast higher"
    assert row["estimate"] == pytest.approx(0.5, abs=0.01)
    assert row["first_mean"] - row["second_mean"] == pytest.approx(row["estimate"])


def test_a_better_rule_is_better_at_the_same_performance():
    performance, brain = rules({"a": 1.0, "b": 1.4}, {"a": 0.8, "b": 0.3})
    found = compared_at_performance(performance, brain, [0.2, 0.3])
    assert found["verdict"].tolist() == ["b higher", "b higher"]
    assert found["level"].tolist() == [0.2, 0.3]


def test_a_level_that_one_rule_does_not_reach_is_not_testable():
    performance, brain = rules({"a": 1.0, "b": 1.0}, {"a": 0.8, "b": 0.1})
    assert compared_at_performance(performance, brain, [0.5])["verdict"][0].startswith("not testable")


def test_fewer_than_five_seeds_are_not_tested():
    values = np.arange(20.0).reshape(4, 5)
    found = compared_at_steps({"a": curve(values), "b": curve(values**2)}, [1000])
    assert found["verdict"][0].startswith("not testable")


def test_holm_counts_all_pairs_of_a_place():
    _, brain = rules({"a": 1.0, "b": 1.02, "c": 1.03, "d": 1.04}, dict.fromkeys("abcd", 0.5), noise=0.01)
    found = compared_at_steps(brain, [1000])
    assert len(found) == 6
    assert (found["p_holm"] >= found["p"]).all()
    assert found["p_holm"].min() == pytest.approx(min(1, 6 * found["p"].min()))


def test_seeds_are_paired_by_their_number():
    up, down = np.arange(25.0).reshape(5, 5), np.arange(25.0).reshape(5, 5)[::-1]
    found = compared_at_steps({"a": curve(up), "b": curve(down, seeds=(4, 3, 2, 1, 0))}, [1000])
    assert found["estimate"][0] == 0


def test_bad_curves_and_steps_are_told():
    with pytest.raises(BrainalignError, match="no checkpoint at step 7"):
        at_step(curve(np.zeros((2, 5))), 7.0)
    with pytest.raises(BrainalignError, match="same runs"):
        at_performance(curve(np.zeros((2, 5))), curve(np.zeros((3, 5))), 0.5)
