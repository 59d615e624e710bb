"""Which curve rises first, and whether brain-likeness and performance part."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from brainalign.errors import BrainalignError
from brainalign.trajectory.crossed_interval import crossed_interval
from brainalign.trajectory.curves import LABELS, Curve
from brainalign.trajectory.dissociation import dissociation
from brainalign.trajectory.order import order_of, rise_times
from brainalign.trajectory.seed_tests import over_seeds

STEPS = np.array([0.0, *np.unique(np.geomspace(1, 3000, 30).round())])
SEEDS = tuple(range(6))


def curve(half=100.0, gain=1.0, noise=0.01, seed=0, late=0.0, **labels):
    """Give saturating curves of six seeds; `late` is a drift after the rise is done."""
    generator = np.random.default_rng(seed)
    halves = half * np.exp(0.1 * generator.normal(size=(6, 1)))
    values = gain * STEPS / (STEPS + halves) + late * np.clip((STEPS - 1500) / 1500, 0, 1)
    values = values + noise * generator.normal(size=(6, len(STEPS)))
    return Curve(dict.fromkeys(LABELS, "") | labels, values, STEPS, SEEDS)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("sign", [1, -1])
def test_rise_times_invert_a_known_curve(share, sign):
    # Of 1 − 1/(1+t/100), between its first and last value.
    curve = sign * STEPS / (STEPS + 100)
    wanted = share * 3000 / 3100
    truth = 100 * wanted / (1 - wanted)
    assert rise_times(curve[None], STEPS, share)[0] == pytest.approx(truth, rel=0.02)


def test_rise_times_are_missing_where_nothing_rises():
    flat, gap = np.ones(len(STEPS)), np.linspace(0, 1, len(STEPS))
    gap = np.where(np.arange(len(STEPS)) == 5, np.nan, gap)
    assert np.isnan(rise_times(np.stack([flat, gap]), STEPS)).all()
    with pytest.raises(BrainalignError, match="between 0 and 1"):
        rise_times(flat[None], STEPS, 1.0)


def test_the_earlier_layer_is_told_and_like_layers_tie():
    curves = [
        curve(30, seed=1, layer="first"),
        curve(300, seed=2, layer="second"),
        curve(300, seed=3, layer="third"),
    ]
    table = order_of(curves).set_index(["first", "second"])
    assert table.loc[("first", "second"), "verdict"] == "first earlier"
    assert table.loc[("first", "second"), "estimate"] == pytest.approx(10, rel=0.3)
    assert table.loc[("second", "third"), "verdict"] == "tie"
    assert (table["p_holm"] >= table["p"]).all()


def test_order_needs_seeds_and_curves_of_the_same_networks():
    few = [
        Curve(each.labels, each.values[:3], STEPS, SEEDS[:3]) for each in (curve(layer="a"), curve(layer="b"))
    ]
    assert order_of(few)["verdict"][0].startswith("not testable: values of 3 seeds")
    with pytest.raises(BrainalignError, match="of one task; these are of classification, rotation"):
        order_of([curve(task="classification"), curve(task="rotation")])
    with pytest.raises(BrainalignError, match="two curves or more; 1"):
        order_of([curve()])


def test_a_score_that_falls_late_is_dissociated_and_one_that_follows_is_not():
    accuracy = curve(noise=0.002, quantity="accuracy")
    falling = dissociation(accuracy, curve(seed=1, late=-0.5, region="V4")).set_index("question")
    assert falling.loc["late change", "verdict"] == "dissociated" and falling.loc["late change", "estimate"] < 0
    assert falling.loc["loss after best", "verdict"] == "dissociated"
    same = dissociation(accuracy, Curve(accuracy.labels, 3 * accuracy.values, STEPS, SEEDS)).set_index(
        "question"
    )
    assert same.loc["lead", "estimate"] == pytest.approx(1)
    assert same.loc["loss after best", "verdict"] != "dissociated"


def test_dissociation_refuses_other_runs():
    with pytest.raises(BrainalignError, match="Performance is of the rule backprop, the brain score of pepita"):
        dissociation(curve(rule="backprop"), curve(rule="pepita"))
    other = Curve(dict.fromkeys(LABELS, ""), np.ones((6, 3)), STEPS[:3] + 0.5, SEEDS)
    with pytest.raises(BrainalignError, match="share 6 seeds and 0 checkpoints"):
        dissociation(curve(), other)


def test_crossed_intervals_hold_the_mean_95_times_in_100():
    # SIMULATED: seeds and subjects both vary; the plain t-interval over seeds of subject means does not.
    generator, held, plain = np.random.default_rng(0), 0, 0
    for _ in range(600):
        values = (
            generator.normal(size=(6, 1)) + 2 * generator.normal(size=(1, 6)) + generator.normal(size=(6, 6))
        )
        _, low, high = crossed_interval(values)
        held += low <= 0 <= high
        _, low, high = crossed_interval(values.mean(1, keepdims=True))
        plain += low <= 0 <= high
    assert 0.93 <= held / 600 <= 0.99
    assert plain / 600 < 0.9


def test_over_seeds_is_the_t_test():
    values = np.random.default_rng(0).normal(0.5, 1, 9)
    found, oracle = over_seeds(values), ttest_1samp(values, 0)
    assert found["p"] == pytest.approx(oracle.pvalue)
    np.testing.assert_allclose((found["low"], found["high"]), oracle.confidence_interval())
