"""Stages: found where they are, not invented where there are none, and said where they cannot be tested."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import brainalign as ba
from brainalign.compare.scores import make_scores
from brainalign.trajectory.clocks import CLOCKS, LOG, clock, step_at
from brainalign.trajectory.families import null_families, stages_family
from brainalign.trajectory.fits import fit, whitened

STEPS = np.concatenate([[0.0], np.unique(np.geomspace(1, 2000, 40).round())[:29]])
STEPS = np.unique(STEPS)


def staged(kind=LOG, times=(0.4, 0.7), gains=(1.0,), noise=0.02, n_seeds=5, jitter=0.02, seed=0):
    """Give curves with known stages."""
    generator = np.random.default_rng(seed)
    family = stages_family(STEPS, kind, len(gains))
    curves = [
        family.basis(np.array(times) + jitter * generator.normal()) @ np.array([0.2, *gains])
        for _ in range(n_seeds)
    ]
    return np.array(curves) + noise * generator.normal(size=(n_seeds, len(STEPS)))


@pytest.mark.parametrize("kind", CLOCKS)
def test_clock_and_its_inverse(kind):
    time = clock(STEPS, kind)
    assert time[0] == 0 and time[-1] == pytest.approx(1) and (np.diff(time) > 0).all()
    np.testing.assert_allclose(step_at(time, STEPS, kind), STEPS, atol=1e-9)


def test_whitening_gives_the_likelihood_of_autoregressive_noise():
    # The direct way: the covariance matrix of a stationary process.
    rho, noise = 0.6, np.random.default_rng(0).normal(size=12)
    covariance = rho ** np.abs(np.subtract.outer(np.arange(12), np.arange(12))) / (1 - rho**2)
    white = whitened(noise, rho)
    assert white @ white == pytest.approx(noise @ np.linalg.solve(covariance, noise), rel=1e-12)
    assert -np.log(1 - rho**2) == pytest.approx(np.linalg.slogdet(covariance)[1], rel=1e-12)


@pytest.mark.parametrize(
    "family", [*null_families(STEPS), stages_family(STEPS, LOG, 2)], ids=lambda each: each.name
)
def test_each_family_is_fitted_by_its_own_curves(family):
    shape = (
        (0.2, 0.4, 0.6, 0.9)
        if family.least_width
        else [(low + high) / 2 for low, high in zip(family.low, family.high, strict=True)]
    )
    curve = family.basis(np.array(shape)) @ np.linspace(1, 2, family.n_terms + 1)
    found = fit(family, curve + 1e-4 * np.random.default_rng(0).normal(size=len(STEPS)))
    np.testing.assert_allclose(found.curve, curve, atol=1e-3)


def test_gains_are_those_of_generalised_least_squares():
    curve = staged()[0]
    found = fit(stages_family(STEPS, LOG, 1), curve)
    basis, rho, places = found.family.basis(found.shape), found.correlation, np.arange(len(STEPS))
    inverse = np.linalg.inv(rho ** np.abs(np.subtract.outer(places, places)))
    gains = np.linalg.solve(basis.T @ inverse @ basis, basis.T @ inverse @ curve)
    np.testing.assert_allclose(found.gains, gains, rtol=1e-5)


@pytest.mark.parametrize("kind", CLOCKS)
def test_a_stage_is_found_when_it_happens(kind):
    found = ba.find_stages(staged(kind), STEPS)
    assert found.attrs["verdict"] == "stages" and found.attrs["clock"] == kind and found.sizes["stage"] == 1
    onset, half, end = step_at(np.array([0.4, 0.55, 0.7]), STEPS, kind)
    truth = {"onset": onset, "half_time": half, "width": end - onset, "gain": 1.0}
    for name, value in truth.items():
        assert found[f"{name}_low"].item() < value < found[f"{name}_high"].item()
    assert found["onset_by_seed"].sizes == {"seed": 5, "stage": 1}


def test_long_curves_are_no_harder():
    steps = np.arange(220.0)
    curve = 1 / (1 + np.exp(-(steps - 60) / 6)) - 0.5 / (1 + np.exp(-(steps - 150) / 8))
    found = ba.find_stages(curve + 0.03 * np.random.default_rng(0).normal(size=(5, 220)), steps)
    np.testing.assert_allclose(found["half_time"], [60, 150], atol=2)


def test_several_stages_come_in_order_with_their_signs():
    found = ba.find_stages(staged(times=(0.1, 0.3, 0.6, 0.85), gains=(1.0, -0.5)), STEPS)
    np.testing.assert_allclose(found["gain"], [1.0, -0.5], atol=0.05)
    assert found["half_time"].values[0] < found["half_time"].values[1]
    assert found["half_time"].attrs["units"] == "steps"


@pytest.mark.parametrize("family", null_families(STEPS), ids=lambda each: each.name)
def test_no_stage_is_invented_on_smooth_courses(family):
    shapes = {"exponential": (np.arcsinh(8.0),), "power": (0.0, np.log(0.05))}
    shape = np.array(shapes.get(family.name.split()[0], ()))
    noise = np.random.default_rng(3).normal(size=(5, len(STEPS)))
    found = ba.find_stages(family.basis(shape) @ np.ones(family.n_terms + 1) + 0.02 * noise, STEPS)
    assert found.attrs["verdict"] == "no stage" and found.sizes["stage"] == 0
    assert "explains the curve as well" in found.attrs["reason"]


def test_an_exponential_in_steps_looks_like_a_stage_in_log_steps_but_is_none():
    curve = 1 - np.exp(-STEPS / 100)
    noise = 0.01 * np.random.default_rng(0).normal(size=(5, len(STEPS)))
    found = ba.find_stages(curve + noise, STEPS)
    assert found.attrs["verdict"] == "no stage"
    # The control: among courses in log steps alone it would have been one.
    mean = (curve + noise).mean(0)
    in_log = [each for each in null_families(STEPS) if LOG in each.name]
    best = min(fit(each, mean).bic for each in in_log)
    assert best - fit(stages_family(STEPS, LOG, 1), mean).bic > 20


def test_random_walks_have_no_stages():
    generator = np.random.default_rng(1)
    found = [ba.find_stages(generator.normal(size=(5, len(STEPS))).cumsum(1), STEPS) for _ in range(10)]
    assert sum(each.attrs["verdict"] == "stages" for each in found) <= 1


def test_scale_and_offset_change_nothing_but_the_gain():
    curves = staged()
    one, other = ba.find_stages(curves, STEPS), ba.find_stages(5 - 100 * curves, STEPS)
    np.testing.assert_allclose(other["onset"], one["onset"], rtol=0.02)
    np.testing.assert_allclose(other["gain"], -100 * one["gain"], rtol=0.02)


def test_seeds_must_share_a_stage():
    shared, own = staged(jitter=0.0), staged(jitter=0.0)
    own[0] *= 5
    own[1:] = own[1:, :1] + 0.02 * np.random.default_rng(1).normal(size=own[1:].shape)
    assert ba.find_stages(shared, STEPS).attrs["verdict"] == "stages"
    found = ba.find_stages(own, STEPS)  # one seed of five has it, and so has their mean
    assert found.attrs["verdict"] == "no stage" and "the seeds do not share" in found.attrs["reason"]


def test_fewer_than_five_seeds_have_no_interval():
    found = ba.find_stages(staged(n_seeds=4), STEPS)
    assert found.sizes["stage"] == 1 and np.isnan(found["onset_low"]).all()
    assert found.attrs["interval"] == "none: 4 seeds, 5 needed"


def test_resampled_stimuli_widen_the_interval():
    curves = staged()
    drawn = staged(n_seeds=20, jitter=0.05, seed=5)
    plain, wider = ba.find_stages(curves, STEPS), ba.find_stages(curves, STEPS, resamples=drawn)
    width = [float(each["onset_high"][0] - each["onset_low"][0]) for each in (plain, wider)]
    assert width[1] > 1.5 * width[0]
    assert "20 resamples of the stimuli" in wider.attrs["interval"]


def test_subjects_are_crossed_with_seeds():
    each = [staged(times=(0.4 + later, 0.7 + later), seed=i) for i, later in enumerate((0, 0.02, 0.04, 0.06))]
    curves = np.stack(each, axis=1)
    crossed, alone = ba.find_stages(curves, STEPS), ba.find_stages(curves.mean(1), STEPS)
    assert "4 subjects, crossed" in crossed.attrs["interval"]
    width = [float(found["onset_high"][0] - found["onset_low"][0]) for found in (alone, crossed)]
    assert width[1] > width[0]  # subjects who differ say less of others than their mean curve does
    by_name = xr.DataArray(curves, dims=("seed", "subject", "checkpoint"), coords={"checkpoint": STEPS})
    xr.testing.assert_equal(ba.find_stages(by_name.transpose("checkpoint", "subject", "seed")), crossed)


def test_too_few_checkpoints_and_gaps_are_not_testable():
    found = ba.find_stages(staged()[:, :20], STEPS[:20])
    assert found.attrs["verdict"] == "not testable" and "20 checkpoints" in found.attrs["reason"]
    assert found.sizes["stage"] == 0
    gaps = staged()
    gaps[2, 3:10] = np.nan
    found = ba.find_stages(gaps, STEPS)
    kept = len(STEPS) - 7
    assert found.attrs["n_checkpoints_left_out"] == 7
    assert found.attrs["verdict"] == ("stages" if kept >= 24 else "not testable")
    assert "7 with missing values" in found.attrs["reason"] or kept >= 24


def test_a_constant_curve_has_no_stage():
    assert ba.find_stages(np.ones((5, len(STEPS))), STEPS).attrs["verdict"] == "no stage"


@pytest.mark.parametrize(
    ("curves", "steps", "message"),
    [
        (np.ones(30), np.r_[0:15, 14:29], "Steps must increase; step 14 follows 14 at checkpoint 15"),
        (np.ones(30), np.arange(30)[::-1], "Steps must increase"),
        (np.ones(30), np.arange(29), "30 checkpoints, but there are 29 steps"),
        (np.ones(30), None, "Give `steps`"),
        (np.full(30, np.inf), np.arange(30), "30 infinite values"),
        (np.ones((2, 2, 2, 30)), np.arange(30), "shape"),
        (xr.DataArray(np.ones((2, 30)), dims=("layer", "checkpoint")), np.arange(30), "dimensions layer"),
        (pd.DataFrame({"step": [1]}), np.arange(30), "its own steps"),
    ],
)
def test_wrong_arrays_are_refused(curves, steps, message):
    with pytest.raises(ba.BrainalignError, match=message):
        ba.find_stages(curves, steps)


def scores_of(curves, steps, **labels):
    """Give a table of scores with these curves of seeds."""
    return [
        {"raw": value, "score": np.nan, "seed": seed, "checkpoint": int(step), "note": ""} | labels
        for seed, curve in enumerate(curves)
        for step, value in zip(steps, curve, strict=True)
    ]


def table_of(rows):
    absent = {
        name: np.nan for name in ("low", "high", "spread", "ceiling", "ceiling_lower", "participation_ratio")
    }
    counts = dict.fromkeys(("n_stimuli", "n_units", "n_units_masked", "layer_units"), 0)
    return make_scores([absent | counts | {"resampled": ""} | row for row in rows], {})


def test_scores_are_taken_apart_by_their_labels():
    rows = scores_of(staged(), STEPS, region="V4", layer="a", rule="backprop")
    rows += scores_of(
        np.linspace(0, 1, len(STEPS)) * np.ones((5, 1)), STEPS, region="IT", layer="a", rule="backprop"
    )
    rows += [{"raw": 0.5, "score": np.nan, "region": "V4", "network": "pixels", "note": ""}]
    found = ba.find_stages(table_of(rows))
    assert found.sizes["curve"] == 2 and found["region"].values.tolist() == ["V4", "IT"]
    assert found["verdict"].values.tolist() == ["stages", "no stage"]
    assert found["quantity"].values.tolist() == ["raw", "raw"]
    assert found.attrs["verdict"] == "stages" and "1 of 2 curves have stages" in found.attrs["reason"]
    table = ba.stage_table(found)
    assert table["n_stages"].tolist() == [1, 0] and np.isnan(table["onset"][1])
    alone = ba.find_stages(staged(), STEPS)
    assert table["onset"][0] == pytest.approx(alone["onset"].item())


def test_a_table_without_checkpoints_says_what_to_do():
    with pytest.raises(ba.BrainalignError, match="without checkpoints. Score a trained run's folder"):
        ba.find_stages(table_of([{"raw": 0.5, "score": np.nan, "note": ""}]))


def test_a_cell_that_is_there_twice_is_refused():
    rows = scores_of(staged(), STEPS, region="V4")
    with pytest.raises(ba.BrainalignError, match="seed 0 at checkpoint 0 twice for region V4"):
        ba.find_stages(table_of([*rows, rows[0]]))


def test_training_tables_have_a_curve_a_category():
    curves = staged()
    table = pd.DataFrame(
        {
            "step": np.tile(STEPS, 5),
            "seed": np.repeat(range(5), len(STEPS)),
            "rule": "backprop",
            "loss": 2 - curves.ravel(),
            "accuracy": curves.ravel(),
            "accuracy.cat": 0.5,
            "angle": 3.0,
        }
    )
    found = ba.find_stages(table)
    assert found["quantity"].values.tolist() == ["loss", "accuracy", "accuracy.cat"]
    assert found["verdict"].values.tolist() == ["stages", "stages", "no stage"]
    assert found["gain"].values[:2, 0] == pytest.approx([-1, 1], abs=0.05)
    with pytest.raises(ba.BrainalignError, match="has a column 'step'"):
        ba.find_stages(table.drop(columns="step"))
