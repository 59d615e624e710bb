"""Linear predictivity against loops over features, its ceiling, and what it leaves out."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from brainalign.compare.predictivity import Predictivity, centred_blocks
from brainalign.compare.splits import train_test_splits
from brainalign.data.responses import make_responses
from brainalign.errors import NeedsError, ResponsesError
from brainalign.metrics import find_metric
from brainalign.metrics.reliability import split_half_reliability
from brainalign.probing import Representation

OWNER = "Region 'V4' of 'test'"
N, P, Q = 60, 15, 7
IDS = [f"s{i:02d}" for i in range(N)]


def features(seed=0, p=P):
    return np.random.default_rng(seed).normal(1.0, 1.0, (N, p))


def tuning(seed=0, q=Q):
    """Responses that partly follow from the features of the same seed."""
    generator = np.random.default_rng(seed + 100)
    return features(seed) @ generator.normal(size=(P, q)) / 4 + generator.normal(0.0, 0.5, (N, q))


def repeats(noise=1.0, n_repeats=8, seed=0, q=Q):
    generator = np.random.default_rng(seed + 200)
    return tuning(seed, q)[:, :, None] + noise * generator.normal(size=(N, q, n_repeats))


def region(values, ids=IDS, subject="m"):
    dims = ("stimulus", "unit", "repeat")[: values.ndim]
    return make_responses(values, ids, region="V4", subject=subject, dims=dims)


def layer(x, name="layer"):
    return Representation.from_features(x, IDS, name)


def predictivity(values, metric="ridge_fixed", n_resamples=20, seed=0, **options):
    return Predictivity(find_metric(metric), region(values, **options), OWNER, n_resamples, seed)


def naive(x, y):
    """Median over units of Pearson's r in each test set, by scikit-learn on the features."""
    per_split = []
    for train, test in train_test_splits(N):
        predicted = Ridge(1.0).fit(x[train], y[train]).predict(x[test])
        per_split.append([np.corrcoef(predicted[:, unit], y[test, unit])[0, 1] for unit in range(y.shape[1])])
    return np.array(per_split)


def test_value_is_the_mean_over_splits_of_the_median_over_units():
    expected = naive(features(), tuning())
    outcome = predictivity(tuning()).outcomes([layer(features())])[0]
    assert outcome.raw == pytest.approx(np.median(expected, axis=1).mean(), abs=1e-10)
    assert outcome.spread == pytest.approx(np.median(expected, axis=1).std(), abs=1e-10)
    np.testing.assert_allclose(outcome.scoring[:, 0], np.median(expected, axis=1), atol=1e-10)
    assert outcome.details is not None
    np.testing.assert_allclose(outcome.details["r"], expected.mean(axis=0), atol=1e-10)
    assert list(outcome.details["unit"]) == [str(unit) for unit in range(Q)]


def test_bootstrap_resamples_held_out_predictions_within_their_folds():
    x, y = features(), tuning()
    compared = predictivity(y)
    outcome = compared.outcomes([layer(x)])[0]
    for sample in range(5):
        medians = []
        for train, test in train_test_splits(N):
            predicted = Ridge(1.0).fit(x[train], y[train]).predict(x[test])
            counts = compared.resamples.stimuli[sample, test]
            copies = np.repeat(np.arange(len(test)), counts)
            if (counts > 0).sum() < 3:
                continue
            medians.append(
                np.median([np.corrcoef(predicted[copies, u], y[test][copies, u])[0, 1] for u in range(Q)])
            )
        assert outcome.replicates[0, sample] == pytest.approx(np.mean(medians), abs=1e-8)


@pytest.mark.parametrize("p", [3, 200])
def test_blocks_are_centred_on_the_training_stimuli(p):
    x = features(p=p)
    rows = np.random.default_rng(1).permutation(N)
    train, test = rows[:40], rows[40:]
    mean = x[train].mean(axis=0)
    for gram in (x @ x.T, layer(x).gram):
        train_gram, cross_gram = centred_blocks(gram, train, test)
        np.testing.assert_allclose(train_gram, (x[train] - mean) @ (x[train] - mean).T, atol=1e-10)
        np.testing.assert_allclose(cross_gram, (x[test] - mean) @ (x[train] - mean).T, atol=1e-10)


def test_ceiling_is_the_root_of_the_median_reliability():
    values = repeats()
    compared = predictivity(values)
    reliability = split_half_reliability(values, 100, np.random.default_rng(5))
    # Equal but for which random halves were drawn.
    assert compared.facts.ceiling == pytest.approx(np.sqrt(np.median(reliability)), abs=0.02)
    assert compared.facts.notes == ()
    details = compared.outcomes([layer(features())])[0].details
    assert details is not None
    assert compared.facts.ceiling == pytest.approx(np.sqrt(np.median(details["reliability"])), abs=1e-12)
    np.testing.assert_allclose(
        details["explained"], np.sign(details["r"]) * details["r"] ** 2 / details["reliability"], rtol=1e-12
    )


def test_ceiling_is_what_the_true_tuning_reaches():
    # A layer that holds the noiseless tuning predicts the mean response as well as the noise allows.
    values = repeats(noise=2.0, n_repeats=6)
    compared = predictivity(values, "ridge")
    truth = compared.outcomes([layer(tuning())])[0].raw
    correlations = [np.corrcoef(tuning()[:, u], values.mean(axis=2)[:, u])[0, 1] for u in range(Q)]
    assert compared.facts.ceiling == pytest.approx(np.median(correlations), abs=0.05)
    assert compared.normalise(truth) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("raw", [-0.9, -0.2, 0.0, 0.3, 0.8])
def test_score_is_the_explained_fraction_with_its_sign(raw):
    compared = predictivity(repeats())
    ceiling = compared.facts.ceiling
    assert 0.5 < ceiling < 1
    assert compared.normalise(raw) == pytest.approx(np.sign(raw) * raw**2 / ceiling**2)
    assert compared.normalise(ceiling) == pytest.approx(1.0)


def test_without_repeats_there_is_no_ceiling_and_no_score():
    compared = predictivity(tuning())
    assert np.isnan(compared.facts.ceiling) and np.isnan(compared.normalise(0.4))
    assert compared.facts.notes[0].startswith("no ceiling: the recording has no repeats")
    details = compared.outcomes([layer(features())])[0].details
    assert details is not None and "reliability" not in details


def noise_that_cancels(q, n_repeats=8, seed=0):
    """Repeats that average to nothing for every stimulus, so that halves disagree."""
    noise = np.random.default_rng(seed + 300).normal(size=(N, q, n_repeats))
    return noise - noise.mean(axis=2, keepdims=True) + 1e-3 * np.random.default_rng(9).normal(size=(N, q, 1))


def test_units_without_signal_are_left_out_of_value_ceiling_and_score():
    good, bad = repeats(noise=0.5), noise_that_cancels(4)
    both = np.concatenate([good, bad], axis=1)
    both[3, -1] = np.nan
    both[:, -2] = 1.0
    compared, alone = predictivity(both), predictivity(good)
    assert (compared.facts.n_units, compared.facts.n_units_masked) == (Q, 4)
    assert compared.facts.notes == ("2 units of reliability under 0.1 left out",)
    assert compared.facts.ceiling == pytest.approx(alone.facts.ceiling, abs=1e-12)
    ours, theirs = (each.outcomes([layer(features())])[0] for each in (compared, alone))
    assert ours.raw == pytest.approx(theirs.raw, abs=1e-12)
    assert ours.details is not None and len(ours.details) == Q


def test_no_unit_with_signal_is_an_unmet_need():
    with pytest.raises(NeedsError, match="no unit with a split-half reliability of 0.1 or more"):
        predictivity(noise_that_cancels(5))


def test_subject_is_named_only_where_there_is_one():
    assert predictivity(tuning(), subject="m1").facts.subject == "m1"
    assert predictivity(tuning(), subject=["m1"] * 4 + ["m2"] * 3).facts.subject == ""


def test_a_unit_that_is_silent_in_a_test_set_is_left_out_of_that_split_alone():
    y = tuning()
    train, test = train_test_splits(N)[0]
    y[:, 0] = 0.0
    y[train[:5], 0] = 1.0
    outcome = predictivity(y).outcomes([layer(features())])[0]
    assert outcome.scoring[0, 0] == pytest.approx(np.median(naive(features(), y[:, 1:])[0]), abs=1e-10)
    assert np.isfinite(outcome.replicates).all()


def test_rows_and_their_ids_may_be_stored_in_any_order():
    order = np.random.default_rng(3).permutation(N)
    values = repeats()
    values[4, :, 5:] = np.nan
    plain = predictivity(values, "ridge")
    shuffled = predictivity(values[order], "ridge", ids=[IDS[i] for i in order])
    assert plain.facts == shuffled.facts
    for ours, theirs in zip(
        plain.outcomes([layer(features())]), shuffled.outcomes([layer(features())]), strict=True
    ):
        np.testing.assert_allclose(ours.replicates, theirs.replicates, rtol=0, atol=1e-10)
        assert ours.raw == pytest.approx(theirs.raw, abs=1e-10)


def test_what_the_layer_is_chosen_by_knows_nothing_of_the_test_stimuli():
    y, x = tuning(), features()
    plain = predictivity(y, "ridge").outcomes([layer(x)])[0]
    for split, (_, test) in enumerate(train_test_splits(N)[:4]):
        poisoned_y, poisoned_x = y.copy(), x.copy()
        poisoned_y[test] = np.random.default_rng(split).normal(0.0, 100.0, (len(test), Q))
        poisoned_x[test] = np.random.default_rng(split).normal(0.0, 100.0, (len(test), P))
        poisoned = predictivity(poisoned_y, "ridge").outcomes([layer(poisoned_x)])[0]
        np.testing.assert_allclose(poisoned.choosing[split], plain.choosing[split], atol=1e-9)
        assert abs(poisoned.scoring[split, 0] - plain.scoring[split, 0]) > 0.05


def test_what_is_fitted_knows_nothing_of_the_test_stimuli():
    # Were a test stimulus in the training set, a layer that tells every stimulus apart would know its answer.
    y = np.random.default_rng(5).normal(size=(N, Q))
    assert abs(predictivity(y).outcomes([layer(np.eye(N) * 100)])[0].raw) < 0.4
    doubled = np.concatenate([y[: N // 2]] * 2)
    twins = np.concatenate([np.eye(N)[: N // 2]] * 2) * 100
    metadata = pd.DataFrame({"image": [f"image{i % (N // 2)}" for i in range(N)]}, index=IDS)
    metric = find_metric("ridge_fixed")
    leaking = Predictivity(metric, region(doubled), OWNER, 2, 0)
    assert leaking.outcomes([layer(twins)])[0].raw > 0.9
    grouped = Predictivity(metric, region(doubled), OWNER, 2, 0, metadata)
    outcome = grouped.outcomes([layer(twins)])[0]
    assert abs(outcome.raw) < 0.4
    assert abs(np.nanmean(outcome.choosing[:, 0])) < 0.4


def test_strata_of_the_metadata_are_kept_in_proportion():
    strata = np.array([f"object{i % 6}" for i in range(N)])
    metadata = pd.DataFrame({"stratum": strata}, index=IDS)
    y, x = tuning(), features()
    stratified = Predictivity(find_metric("ridge_fixed"), region(y), OWNER, 2, 0, metadata)
    expected = []
    for train, test in train_test_splits(N, strata):
        assert len(set(strata[test])) == 6
        predicted = Ridge(1.0).fit(x[train], y[train]).predict(x[test])
        expected.append(np.median([np.corrcoef(predicted[:, u], y[test, u])[0, 1] for u in range(Q)]))
    assert stratified.outcomes([layer(x)])[0].raw == pytest.approx(np.mean(expected), abs=1e-10)


def test_ten_stimuli_are_enough_and_nine_are_not():
    small = region(tuning()[:10], IDS[:10])
    compared = Predictivity(find_metric("ridge"), small, OWNER, 20, 0)
    outcome = compared.outcomes([Representation.from_features(features()[:10], IDS[:10])])[0]
    assert -1 <= outcome.raw <= 1
    with pytest.raises(ResponsesError, match="has 9 stimuli"):
        Predictivity(find_metric("ridge"), region(tuning()[:9], IDS[:9]), OWNER, 20, 0)


def test_identical_layers_score_alike_and_better_layers_better():
    x = features()
    blurred = x + np.random.default_rng(6).normal(0.0, 2.0, x.shape)
    same, again, worse = predictivity(tuning(), "ridge").outcomes([layer(x), layer(x, "b"), layer(blurred)])
    np.testing.assert_array_equal(same.replicates, again.replicates)
    assert same.raw == again.raw > worse.raw
