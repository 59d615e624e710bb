"""Reverse predictivity against loops over explicit features, and what it does not depend on."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeCV

from brainalign.compare.comparison import Comparison
from brainalign.compare.reverse_predictivity import ReversePredictivity
from brainalign.compare.splits import train_test_splits
from brainalign.data.responses import make_responses
from brainalign.metrics import find_metric
from brainalign.metrics.ridge import relative_alphas
from brainalign.probing import Representation

OWNER = "Region 'V4' of 'test'"
N, P, Q = 60, 90, 7
IDS = [f"s{i:02d}" for i in range(N)]


def tuning(seed=0):
    return np.random.default_rng(seed).gamma(2.0, 3.0, (N, Q)) + 20.0


def features(noise=1.0, seed=0):
    """Features that partly follow from the responses."""
    generator = np.random.default_rng(seed + 100)
    x = tuning(seed) @ generator.normal(size=(Q, P)) * generator.gamma(1.0, size=P)
    return x + noise * (x - x.mean(axis=0)).std() * generator.normal(size=x.shape)


def layer(x, name="layer"):
    return Representation.from_features(x, IDS, name)


def reverse(values, metric="reverse_ridge:n_alphas=11", n_resamples=20, metadata=None):
    responses = make_responses(
        values, IDS, region="V4", subject="m", dims=("stimulus", "unit", "repeat")[: values.ndim]
    )
    return ReversePredictivity(find_metric(metric), responses, OWNER, n_resamples, 0, metadata)


def predictions(x, y, train, test):
    centred = y[train] - y[train].mean(axis=0)
    alphas = relative_alphas(centred @ centred.T, 11)
    return RidgeCV(alphas).fit(y[train], x[train]).predict(y[test])


def pooled(predicted, observed):
    predicted, observed = predicted - predicted.mean(axis=0), observed - observed.mean(axis=0)
    return np.corrcoef(predicted.ravel(), observed.ravel())[0, 1]


def test_value_and_bootstrap_are_those_of_explicit_features():
    x, y = features(), tuning()
    compared = reverse(y)
    outcome = compared.outcomes([layer(x)])[0]
    observed, resampled = [], [[] for _ in range(4)]
    for train, test in train_test_splits(N):
        test = np.sort(test)
        predicted = predictions(x, y, train, test)
        observed.append(pooled(predicted, x[test]))
        for sample, values in enumerate(resampled):
            counts = compared.resamples.stimuli[sample, test]
            rows = np.repeat(np.arange(len(test)), counts)
            if (counts > 0).sum() >= 3:
                values.append(pooled(predicted[rows], x[test][rows]))
    assert outcome.raw == pytest.approx(np.mean(observed), abs=1e-8)
    assert outcome.spread == pytest.approx(np.std(observed), abs=1e-8)
    np.testing.assert_allclose(outcome.scoring[:, 0], observed, atol=1e-8)
    for sample, values in enumerate(resampled):
        assert outcome.replicates[0, sample] == pytest.approx(np.mean(values), abs=1e-8)


def test_features_that_follow_from_the_units_are_predicted_and_others_are_not():
    compared = reverse(tuning())
    unrelated = np.random.default_rng(9).normal(size=(N, P))
    exact, noisy, nothing = compared.outcomes([layer(features(0.0)), layer(features(3.0)), layer(unrelated)])
    assert exact.raw > 0.999
    assert exact.raw > noisy.raw > nothing.raw
    assert abs(nothing.raw) < 0.1


def test_it_is_not_forward_predictivity():
    # A region that reads out one of many features says little of the layer, which says all of the region.
    x = np.random.default_rng(1).normal(size=(N, 30))
    y = np.column_stack([x[:, :1]] * Q) + 1e-3 * np.random.default_rng(2).normal(size=(N, Q))
    forward = reverse(x).outcomes([layer(y)])[0].raw
    backward = reverse(y).outcomes([layer(x)])[0].raw
    assert forward > 0.9
    assert backward < 0.4


def test_neither_rotation_nor_scale_nor_copies_of_features_matter():
    compared, x = reverse(tuning()), features()
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(P, P)))[0]
    plain, turned, copied = compared.outcomes(
        [layer(x), layer(1e3 * x @ turn + 5.0), layer(np.hstack([x, x, x]))]
    )
    for other in (turned, copied):
        np.testing.assert_allclose(other.scoring, plain.scoring, atol=1e-8)
        np.testing.assert_allclose(other.choosing, plain.choosing, atol=1e-8)


def test_what_the_layer_is_chosen_by_knows_nothing_of_the_test_stimuli():
    x, y = features(), tuning()
    plain = reverse(y).outcomes([layer(x)])[0]
    for split, (_, test) in enumerate(train_test_splits(N)[:3]):
        poisoned_x, poisoned_y = x.copy(), y.copy()
        poisoned_x[test] = np.random.default_rng(split).normal(0.0, 100.0, (len(test), P))
        poisoned_y[test] = np.random.default_rng(split).normal(0.0, 100.0, (len(test), Q))
        poisoned = reverse(poisoned_y).outcomes([layer(poisoned_x)])[0]
        np.testing.assert_allclose(poisoned.choosing[split], plain.choosing[split], atol=1e-8)
        assert abs(poisoned.scoring[split, 0] - plain.scoring[split, 0]) > 0.05


def test_stimuli_that_show_the_same_image_are_kept_apart():
    y = np.random.default_rng(5).normal(size=(N // 2, Q))
    x = np.random.default_rng(6).normal(size=(N // 2, P))
    doubled_y = np.concatenate([y, y]) + 1e-6 * np.random.default_rng(7).normal(size=(N, Q))
    doubled_x = np.concatenate([x, x])
    metadata = pd.DataFrame({"image": [f"image{i % (N // 2)}" for i in range(N)]}, index=IDS)
    leaking = reverse(doubled_y).outcomes([layer(doubled_x)])[0].raw
    grouped = reverse(doubled_y, metadata=metadata).outcomes([layer(doubled_x)])[0].raw
    assert abs(grouped) < 0.15 < leaking


def test_there_is_no_ceiling_and_the_note_says_why():
    values = tuning()[:, :, None] + np.random.default_rng(8).normal(size=(N, Q, 5))
    compared = reverse(values)
    assert isinstance(compared, Comparison)
    assert np.isnan(compared.facts.ceiling) and np.isnan(compared.normalise(0.5))
    assert compared.facts.notes[0].startswith("no ceiling: the noise is in the units")
    assert (compared.facts.n_units, compared.facts.n_units_masked) == (Q, 0)
