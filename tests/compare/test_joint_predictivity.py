"""Joint predictivity against loops over features side by side, and what it shares with predictivity."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from brainalign.compare.commitment import commit
from brainalign.compare.comparison import Comparison
from brainalign.compare.joint_predictivity import JointPredictivity
from brainalign.compare.predictivity import Predictivity
from brainalign.compare.splits import train_test_splits
from brainalign.data.responses import make_responses
from brainalign.metrics import find_metric
from brainalign.metrics.banded import band_weights
from brainalign.probing import Representation

OWNER = "Region 'V4' of 'test'"
N, Q = 60, 6
IDS = [f"s{i:02d}" for i in range(N)]
METRIC = "ridge_banded:n_mixtures=3,n_alphas=5"


def features(seed=0, p=8):
    return np.random.default_rng(seed).normal(1.0, 1.0, (N, p))


def tuning():
    """Responses that follow from two sets of features."""
    generator = np.random.default_rng(100)
    drive = [features(seed) @ generator.normal(size=(8, Q)) / 3 for seed in (0, 1)]
    return drive[0] + drive[1] + generator.normal(0.0, 0.5, (N, Q))


def region(values):
    return make_responses(
        values, IDS, region="V4", subject="m", dims=("stimulus", "unit", "repeat")[: values.ndim]
    )


def layer(x, name="layer"):
    return Representation.from_features(x, IDS, name)


def joint(values, metric=METRIC, n_resamples=20):
    return JointPredictivity(find_metric(metric), region(values), OWNER, n_resamples, 0)


def naive_predictions(bands, y, train, test):
    """Scikit-learn's leave-one-out ridge on weighted features side by side, the best mixture for each unit."""
    scaled = []
    for band in bands:
        centred = band - band[train].mean(axis=0)
        scaled.append(centred / np.sqrt(np.mean(np.sum(centred[train] ** 2, axis=1))))
    scores, predictions = [], []
    for weights in band_weights(len(bands), 3):
        wide = np.hstack([np.sqrt(w) * band for w, band in zip(weights, scaled, strict=True)])
        fit = RidgeCV(np.logspace(-5, 5, 5), alpha_per_target=True).fit(wide[train], y[train])
        scores.append(fit.best_score_)
        predictions.append(fit.predict(wide[test]))
    best = np.argmax(scores, axis=0)
    return np.stack(predictions)[best, :, np.arange(y.shape[1])].T


def test_value_and_bootstrap_are_those_of_held_out_predictions_from_all_layers():
    bands, y = [features(0), 20 * features(1), features(2, 100)], tuning()
    compared = joint(y)
    (outcome,) = compared.outcomes([layer(band) for band in bands])
    observed, resampled = [], [[] for _ in range(3)]
    for train, test in train_test_splits(N):
        test = np.sort(test)
        predicted = naive_predictions(bands, y, train, test)
        observed.append([np.corrcoef(predicted[:, u], y[test, u])[0, 1] for u in range(Q)])
        for sample, values in enumerate(resampled):
            counts = compared.resamples.stimuli[sample, test]
            rows = np.repeat(np.arange(len(test)), counts)
            if (counts > 0).sum() >= 3:
                pairs = [np.corrcoef(predicted[rows, u], y[test][rows, u])[0, 1] for u in range(Q)]
                values.append(np.median(pairs))
    assert outcome.raw == pytest.approx(np.median(observed, axis=1).mean(), abs=1e-8)
    assert outcome.details is not None
    np.testing.assert_allclose(outcome.details["r"], np.mean(observed, axis=0), atol=1e-8)
    for sample, values in enumerate(resampled):
        assert outcome.replicates[0, sample] == pytest.approx(np.mean(values), abs=1e-8)


def test_layers_together_predict_what_neither_does_alone():
    y = tuning()
    layers = [layer(features(0), "a"), layer(features(1), "b")]
    (together,) = joint(y).outcomes(layers)
    alone = Predictivity(find_metric("ridge"), region(y), OWNER, 20, 0).outcomes(layers)
    assert together.raw > max(outcome.raw for outcome in alone) + 0.1


def test_one_layer_is_ridge():
    y, x = tuning(), layer(features(0))
    (ours,) = joint(y).outcomes([x])
    (theirs,) = Predictivity(find_metric("ridge:n_alphas=5"), region(y), OWNER, 20, 0).outcomes([x])
    np.testing.assert_allclose(ours.scoring, theirs.scoring, atol=1e-8)
    np.testing.assert_allclose(ours.replicates, theirs.replicates, atol=1e-8)


def test_unrelated_layers_predict_nothing_together():
    y, generator = tuning(), np.random.default_rng(7)
    compared = joint(y, n_resamples=2)
    values = []
    for _ in range(20):
        order = generator.permutation(N)
        values.append(compared.outcomes([layer(features(seed)[order]) for seed in (0, 1)])[0].raw)
    assert abs(np.mean(values)) < 3 * np.std(values, ddof=1) / np.sqrt(20)
    assert compared.outcomes([layer(features(0)), layer(features(1))])[0].raw > max(values)


def test_facts_and_score_are_those_of_predictivity():
    generator = np.random.default_rng(3)
    values = tuning()[:, :, None] + generator.normal(size=(N, Q, 8))
    ours, theirs = joint(values), Predictivity(find_metric("ridge"), region(values), OWNER, 20, 0)
    assert ours.facts == theirs.facts
    np.testing.assert_array_equal(ours.resamples.stimuli, theirs.resamples.stimuli)
    assert ours.normalise(0.4) == theirs.normalise(0.4) == pytest.approx(0.16 / ours.facts.ceiling**2)


def test_gives_one_outcome_that_needs_no_choice():
    compared = joint(tuning())
    assert compared.joint and isinstance(compared, Comparison)
    assert compared.outcomes([]) == []
    (outcome,) = compared.outcomes([layer(features(0)), layer(features(1))])
    assert np.isnan(outcome.choosing).all() and outcome.choosing.shape == outcome.scoring.shape
    committed = commit([outcome], ["all layers"], compared.resamples)
    assert committed.raw == outcome.raw
    np.testing.assert_array_equal(committed.replicates, outcome.replicates)


def test_layers_of_another_scale_or_rotated_count_the_same():
    y = tuning()
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(8, 8)))[0]
    (plain,) = joint(y).outcomes([layer(features(0)), layer(features(1))])
    (changed,) = joint(y).outcomes([layer(1e4 * features(0) @ turn + 3.0), layer(1e-4 * features(1))])
    assert changed.raw == pytest.approx(plain.raw, abs=1e-6)
