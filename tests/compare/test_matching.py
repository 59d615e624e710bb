"""Matched units on held-out stimuli against loops over folds, ceilings, and layers that cannot be matched."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment, linprog

from brainalign.compare.commitment import commit
from brainalign.compare.matching import Matching, halved, paired_correlation
from brainalign.compare.resampling import welch_satterthwaite
from brainalign.compare.splits import commitment_split, halves, stimulus_folds, train_test_splits
from brainalign.data.responses import make_responses
from brainalign.errors import NeedsError, ResponsesError
from brainalign.metrics import find_metric, matching
from brainalign.metrics.matching import Pairs
from brainalign.metrics.reliability import split_half_reliability
from brainalign.probing import Representation

N, P, Q = 60, 20, 7
IDS = [f"s{i:02d}" for i in range(N)]


def features(seed=0, p=P):
    return np.random.default_rng(seed).normal(1.0, 1.0, (N, p))


def responses(seed=0, q=Q):
    """Each unit a noisy copy of one of the features."""
    generator = np.random.default_rng(seed + 100)
    return features(seed)[:, 3 : 3 + q] + generator.normal(0.0, 0.7, (N, q))


def layer(x, name="layer"):
    return Representation.from_features(x, IDS, name, keep=True)


def matched(values, metric="one_to_one", n_resamples=20, seed=0, metadata=None):
    dims = ("stimulus", "unit", "repeat")[: values.ndim]
    region = make_responses(values, IDS[: len(values)], region="V4", subject="m", dims=dims)
    return Matching(find_metric(metric), region, "Region 'V4' of 'test'", n_resamples, seed, metadata)


def correlations(x, y):
    return np.corrcoef(x.T, y.T)[: x.shape[1], x.shape[1] :]


def soft_plan(correlation):
    p, q = correlation.shape
    equal = np.vstack([np.kron(np.eye(p), np.ones(q)), np.kron(np.ones(p), np.eye(q))])
    masses = np.concatenate([np.full(p, 1 / p), np.full(q, 1 / q)])
    return linprog(-correlation.ravel(), A_eq=equal, b_eq=masses, bounds=(0, None)).x.reshape(p, q)


def naive(metric, x, y, train, test):
    """Score of one split: what the papers write, with scipy's solvers on all correlations."""
    correlation = correlations(x[train], y[train])
    held_out = correlations(x[test], y[test])
    if metric == "soft_matching":
        return np.sum(soft_plan(correlation) * held_out)
    network, region = linear_sum_assignment(correlation, maximize=True)
    found = np.zeros(y.shape[1])
    found[region] = held_out[network, region]
    return np.median(found)


@pytest.mark.parametrize("metric", ["one_to_one", "soft_matching"])
@pytest.mark.parametrize("p", [4, P, 90])
def test_value_is_the_mean_over_splits_of_a_fit_elsewhere(metric, p):
    x, y = features(p=p), responses() if p >= P else features(1, Q)
    outcome = matched(y, metric).outcomes([layer(x)])[0]
    generator = np.random.default_rng(0)
    scoring, choosing = [], []
    for train, test in train_test_splits(N):
        scoring.append(naive(metric, x, y, train, test))
        choosing.append(naive(metric, x, y, *commitment_split(train, generator)))
    np.testing.assert_allclose(outcome.scoring[:, 0], scoring, atol=1e-7)
    np.testing.assert_allclose(outcome.choosing[:, 0], choosing, atol=1e-7)
    assert outcome.raw == pytest.approx(np.mean(scoring), abs=1e-7)
    assert outcome.spread == pytest.approx(np.std(scoring), abs=1e-7)
    assert outcome.details is not None and len(outcome.details) == Q
    if metric == "soft_matching":
        assert outcome.details["r"].mean() == pytest.approx(outcome.raw, abs=1e-7)


def test_the_interval_of_assignments_is_nadeau_and_bengios():
    x, y = features(), responses()
    compared = matched(y)
    outcome = compared.outcomes([layer(x)])[0]
    splits = train_test_splits(N)
    values = [naive("one_to_one", x, y, train, test) for train, test in splits]
    assert outcome.raw == pytest.approx(np.mean(values), abs=1e-7)
    np.testing.assert_allclose(outcome.replicates[0], values, atol=1e-7)
    train, test = splits[0]
    expected = (1 / len(splits) + len(test) / len(train)) * np.var(values, ddof=1)
    assert compared.resamples.variance(outcome.replicates) == (pytest.approx(expected, rel=1e-4), 9.0)
    assert compared.resamples.unit == "splits of the stimuli"


def test_the_interval_of_shared_units_is_that_of_halves():
    x, y = features(), responses()
    compared = matched(y, "soft_matching")
    outcome = compared.outcomes([layer(x)])[0]
    generator = np.random.default_rng(0)
    of_splits = [naive("soft_matching", x, y, train, test) for train, test in train_test_splits(N)]
    of_halves, choosing = [], []
    for _ in range(10):
        (pair,) = halves(N, 1, generator)
        folds = [stimulus_folds(len(half), generator) for half in pair]
        for half, of_half in zip(pair, folds, strict=True):
            own = [naive("soft_matching", x, y, half[train], half[test]) for train, test in of_half]
            of_halves.append(np.mean(own))
            choosing.append([np.mean(own[:k] + own[k + 1 :]) for k in range(len(own))])
    np.testing.assert_allclose(outcome.replicates[0], of_splits + of_halves, atol=1e-7)
    np.testing.assert_allclose(outcome.choosing[: len(choosing[0]), 11:].T, choosing, atol=1e-7)
    differences = np.subtract(of_halves[::2], of_halves[1::2])
    parts = [
        (np.mean(differences**2) / 4, 1 / (1 / 10 + 1 / (N - 1))),
        (np.var(of_splits, ddof=1) / 10, 9.0),
    ]
    expected = sum(part for part, _ in parts), welch_satterthwaite(parts)
    assert compared.resamples.variance(outcome.replicates) == pytest.approx(expected, rel=1e-4)
    assert compared.resamples.unit == "splits and halves of the stimuli"


@pytest.mark.parametrize("metric", ["one_to_one", "soft_matching"])
def test_without_resamples_there_is_a_value_and_no_interval(metric):
    x, y = features(), responses()
    compared = matched(y, metric, n_resamples=0)
    outcome = compared.outcomes([layer(x)])[0]
    assert outcome.raw == pytest.approx(matched(y, metric).outcomes([layer(x)])[0].raw, rel=1e-12)
    assert outcome.scoring.shape == outcome.choosing.shape == (10, 1)
    assert np.isnan(compared.resamples.variance(outcome.replicates)[0])


def test_too_few_stimuli_to_halve_are_told():
    compared = matched(responses()[:14], "soft_matching")
    assert compared.resamples.n_halvings == 0
    assert "0 of 10 halvings leave enough stimuli for the interval" in compared.facts.notes
    assert not any("halvings" in note for note in matched(responses(), "soft_matching").facts.notes)


def test_halvings_that_cannot_be_parted_are_left_out():
    groups = np.repeat(list("abcde"), 8)[:36]
    pairs, folds = halved(36, 20, np.random.default_rng(0), groups)
    assert 0 < len(pairs) < 20 and len(folds) == 2 * len(pairs)
    for pair, (first, second) in zip(pairs, zip(folds[::2], folds[1::2], strict=True), strict=True):
        assert not np.intersect1d(*pair).size
        for half, of_half in zip(pair, (first, second), strict=True):
            for train, test in of_half:
                assert np.isin(train, half).all() and np.isin(test, half).all()
                assert not np.intersect1d(groups[train], groups[test]).size


def test_a_half_with_an_undefined_fold_still_chooses_a_layer():
    y = responses()
    # Varies over so few stimuli that it is constant in some folds of some halves.
    sparse = np.zeros((N, 1))
    sparse[:9, 0] = np.random.default_rng(4).normal(size=9)
    compared = matched(sparse, "soft_matching")
    outcomes = compared.outcomes([layer(features(1)), layer(y)])
    assert np.isnan(outcomes[0].scoring[:5, 11:]).any()
    committed = commit(outcomes, ["first", "second"], compared.resamples)
    assert np.isfinite(compared.resamples.variance(committed.replicates)[0])


@pytest.mark.parametrize("metric", ["one_to_one", "soft_matching"])
def test_a_shuffled_copy_scores_one_and_a_rotated_one_less(metric):
    y = responses()
    compared = matched(y, metric)
    order = np.random.default_rng(1).permutation(Q)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(Q, Q)))[0]
    copy, scaled, rotated = compared.outcomes([layer(y[:, order]), layer(5 * y + 3), layer(y @ rotation)])
    assert copy.raw == pytest.approx(1.0, abs=1e-10)
    assert scaled.raw == pytest.approx(1.0, abs=1e-10)
    assert rotated.raw < 0.9


def test_ceiling_is_the_root_of_the_reliability():
    generator = np.random.default_rng(3)
    repeats = responses()[:, :, None] + np.linspace(0.3, 2.0, Q)[:, None] * generator.normal(size=(N, Q, 8))
    one, soft = matched(repeats), matched(repeats, "soft_matching")
    # The same halves are drawn from repeats in the same order.
    reliability = split_half_reliability(one._units.patterns.repeats, 100, np.random.default_rng(0))
    assert one.facts.ceiling == pytest.approx(np.sqrt(np.median(reliability)))
    assert soft.facts.ceiling == pytest.approx(np.sqrt(reliability).mean())
    for compared in (one, soft):
        assert compared.normalise(0.3) == pytest.approx((0.3 / compared.facts.ceiling) ** 2)
        assert compared.normalise(-0.3) == -compared.normalise(0.3)
    details = one.outcomes([layer(features())])[0].details
    assert details is not None
    np.testing.assert_allclose(details["explained"], details["r"] ** 2 * np.sign(details["r"]) / reliability)


def test_a_narrow_layer_leaves_units_without_partner_and_says_so():
    y = responses()
    outcome = matched(y).outcomes([layer(y[:, :3])])[0]
    assert outcome.raw == 0.0
    assert outcome.note == "the layer has 3 units: 4 of the region without partner count as r = 0"
    wide = matched(y).outcomes([layer(y[:, :5])])[0]
    assert wide.raw == pytest.approx(1.0) and "2 of the region" in wide.note
    assert not matched(y).outcomes([layer(features())])[0].note


def test_unit_that_does_not_vary_on_held_out_stimuli_is_left_out_there():
    y = responses()
    y[:, 0] = 0.0
    y[:2, 0] = 1.0  # answers two stimuli alone, so that most folds do not hold any of them
    for metric in ("one_to_one", "soft_matching"):
        outcome = matched(y, metric).outcomes([layer(features())])[0]
        without = matched(y[:, 1:], metric).outcomes([layer(features())])[0]
        assert np.isfinite(outcome.scoring[:, 0]).all() and np.isfinite(outcome.raw)
        assert abs(outcome.raw - without.raw) < 0.1


def test_shares_that_are_missing_count_as_no_correlation():
    x, y = features(), responses()
    pairs = Pairs(np.array([3, 3, 4]), np.array([0, 1, 1]), np.array([0.25, 0.5, 0.5]))
    found = paired_correlation(x, y, pairs)
    r = correlations(x, y)
    np.testing.assert_allclose(found[:2], [0.25 * r[3, 0], 0.5 * r[3, 1] + 0.5 * r[4, 1]])
    np.testing.assert_array_equal(found[2:], 0.0)


def test_stimuli_of_one_image_stay_on_one_side():
    y = responses()
    same = pd.DataFrame({"image": ["x"] * N}, index=pd.Index(IDS, name="stimulus", dtype=object))
    with pytest.raises(ResponsesError, match="Only 0 stimuli are left"):
        matched(y, metadata=same)


def test_a_layer_without_features_says_how_to_keep_them():
    gram_only = Representation.from_features(features(), IDS, "conv1")
    with pytest.raises(NeedsError, match=r"'conv1' .* without its features.* keep_features=True"):
        matched(responses()).outcomes([gram_only])


def test_projections_are_no_units():
    kept = layer(features(), "conv1")
    projected = Representation(
        "conv1", kept.stimuli, kept.gram, kept.mean_products, kept.mean_norm, kept.row_sums, 5000, kept.features
    )
    with pytest.raises(NeedsError, match=r"20 random projections of its 5000 units.*'sample:N'"):
        matched(responses(), "soft_matching").outcomes([projected])


def test_a_layer_too_wide_for_soft_matching_is_refused_and_one_to_one_takes_it(monkeypatch):
    monkeypatch.setattr(matching, "MOST_PAIRS", P * Q - 1)
    with pytest.raises(ResponsesError, match="solved exactly up to"):
        matched(responses(), "soft_matching").outcomes([layer(features())])
    assert np.isfinite(matched(responses()).outcomes([layer(features())])[0].raw)
