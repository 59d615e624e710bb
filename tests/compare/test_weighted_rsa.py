"""RSA of all layers together: folds, weights fitted outside them, ceilings, the bootstrap."""

import numpy as np
import pandas as pd
import pytest
from rsatoolbox.inference import boot_noise_ceiling
from rsatoolbox.rdm import RDMs, compare
from rsatoolbox.util.inference_util import default_k_pattern
from scipy.optimize import nnls
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

from brainalign.compare.rdm_comparison import RdmComparison
from brainalign.compare.resampling import fit_share
from brainalign.compare.splits import labels, stimulus_folds
from brainalign.compare.weighted_rsa import N_PARTITIONS, WeightedRsa
from brainalign.data.responses import make_rdms, make_responses
from brainalign.errors import ResponsesError
from brainalign.metrics import find_metric
from brainalign.metrics.jackknife import PairJackknife
from brainalign.probing import Representation

OWNER = "Region 'IT' of 'test'"
N = 24
IDS = [f"s{i:02d}" for i in range(N)]


def features(n_layers=3, n=N, seed=0):
    """Layers that share some of their features."""
    generator = np.random.default_rng(seed)
    shared = generator.gamma(2.0, size=(n, 4))
    return [np.hstack([shared, generator.gamma(2.0, size=(n, 6))]) for _ in range(n_layers)]


def squares(layers):
    return np.stack([pdist(x, "sqeuclidean") / x.shape[1] for x in layers])


def subject_rdms(weights=(1.0, 0.4, 0.0), n_subjects=4, noise=0.5, n=N, seed=0):
    """Matrices that share a weighted sum of the layers'."""
    together = np.asarray(weights) @ squares(features(len(weights), n, seed))
    generator = np.random.default_rng(seed + 90)
    return together + noise * together.std() * generator.normal(size=(n_subjects, together.size))


def given(rdms=None, ids=IDS):
    rdms = subject_rdms() if rdms is None else rdms
    return make_rdms(rdms, ids, [f"m{k}" for k in range(len(rdms))])


def represent(layers, ids=IDS):
    return [Representation.from_features(x, ids, f"layer{k}") for k, x in enumerate(layers)]


def compared(region, metric="rsa_weighted", n_resamples=20, seed=0, metadata=None):
    return WeightedRsa(find_metric(metric), region, OWNER, n_resamples, seed, metadata)


def every_fold(n=N, seed=0, groups=None):
    generator = np.random.default_rng(seed)
    return [fold for _ in range(N_PARTITIONS) for fold in stimulus_folds(n, generator, groups)]


def on(rdm, rows):
    return squareform(squareform(rdm, checks=False)[np.ix_(rows, rows)], checks=False)


def naive_prediction(layers, subjects, subject, train, test):
    """Fit by scipy on the plain design, to the mean of the other subjects."""
    others = [k for k in range(len(subjects)) if k != subject] or [subject]
    recorded = [on(subjects[k], train) for k in others]
    target = np.mean([(rdm - rdm.mean()) / rdm.std() for rdm in recorded], axis=0)
    constant = np.ones(len(target))
    design = np.column_stack([*(on(rdm, train) for rdm in layers), constant, -constant])
    weights = nnls(design, target)[0][: len(layers)]
    return weights, weights @ np.stack([on(rdm, test) for rdm in layers])


def rho(x, y):
    return spearmanr(x, y)[0]


@pytest.mark.parametrize("n_subjects", [1, 2, 4])
def test_value_is_that_of_a_naive_loop_over_folds_and_subjects(n_subjects):
    subjects, layers = subject_rdms(n_subjects=n_subjects), squares(features())
    outcome = compared(given(subjects)).outcomes(represent(features()))[0]
    values, weights = [], []
    for train, test in every_fold():
        for k in range(n_subjects):
            fitted, predicted = naive_prediction(layers, subjects, k, train, test)
            weights.append(fitted)
            values.append(rho(predicted, on(subjects[k], test)))
    assert outcome.raw == pytest.approx(np.mean(values), abs=1e-10)
    per_subject = np.mean(np.reshape(values, (-1, n_subjects)), axis=0)
    spread = np.std(per_subject, ddof=1) if n_subjects > 1 else np.nan
    assert outcome.spread == pytest.approx(spread, abs=1e-10, nan_ok=True)
    assert outcome.details is not None
    of_subjects, of_layers = outcome.details.iloc[:n_subjects], outcome.details.iloc[n_subjects:]
    np.testing.assert_allclose(of_subjects["r"], per_subject, atol=1e-10)
    assert of_subjects["subject"].tolist() == [f"m{k}" for k in range(n_subjects)]
    assert of_layers["weighted_layer"].tolist() == ["layer0", "layer1", "layer2"]
    np.testing.assert_allclose(of_layers["weight"], np.mean(weights, axis=0), atol=1e-10)
    np.testing.assert_allclose(of_layers["weight_spread"], np.std(weights, axis=0), atol=1e-10)
    assert of_layers["share"].sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("metric", "distance", "method"),
    [
        ("rdm=squared_euclidean", "sqeuclidean", "spearman"),
        ("rdm=correlation,compare=tau_a", "correlation", "tau-a"),
    ],
)
def test_one_layer_is_plain_rsa_within_the_folds(metric, distance, method):
    for x in (features()[0], np.random.default_rng(3).normal(size=(N, 5))):
        (outcome,) = compared(given(), f"rsa_weighted:{metric}").outcomes(represent([x]))
        values = [
            compare(RDMs(on(pdist(x, distance), test)[None]), RDMs(on(rdm, test)[None]), method)[0, 0]
            for _, test in every_fold()
            for rdm in subject_rdms()
        ]
        assert outcome.raw == pytest.approx(np.mean(values), abs=1e-10)


def test_weights_that_are_known_are_found_and_noise_has_hardly_any():
    n, ids = 60, [f"s{i:02d}" for i in range(60)]
    truth = (1.0, 0.5, 0.0, 0.0, 0.0)
    region = given(subject_rdms(truth, 4, 0.5, n), ids)
    outcome = compared(region, "rsa_weighted:compare=pearson").outcomes(represent(features(5, n), ids))[0]
    assert outcome.details is not None
    found = outcome.details["weight"].dropna().to_numpy()
    assert found[1] / found[0] == pytest.approx(0.5, abs=0.05)
    assert (found[2:] < 0.03 * found[0]).all()


def test_layers_together_exceed_each_and_layers_of_noise_take_little_away():
    layers = features(2) + [np.random.default_rng(k).normal(size=(N, 10)) for k in range(8)]
    region = compared(given(subject_rdms((1.0, 1.0))))
    first, second = (region.outcomes(represent([x]))[0].raw for x in layers[:2])
    both, with_noise = (region.outcomes(represent(some))[0].raw for some in (layers[:2], layers))
    assert both > max(first, second) + 0.03
    assert with_noise == pytest.approx(both, abs=0.05)


def test_twenty_unrelated_layers_score_nothing_though_they_can_be_fitted():
    values, fitted = [], []
    kernel = find_metric("rsa_weighted:compare=pearson").kernel
    for seed in range(40):
        generator = np.random.default_rng(seed)
        layers = [generator.normal(size=(N, 5)) for _ in range(20)]
        subject = pdist(generator.normal(size=(N, 5)), "sqeuclidean")[None]
        region = compared(given(subject), "rsa_weighted:compare=pearson", 2)
        values.append(region.outcomes(represent(layers))[0].raw)
        inside = kernel.weights(squares(layers), subject) @ squares(layers)
        fitted.append(np.corrcoef(inside[0], subject[0])[0, 1])
    assert abs(np.mean(values)) < 3 * np.std(values, ddof=1) / np.sqrt(len(values))
    assert np.mean(fitted) > 0.2


@pytest.mark.parametrize("method", ["spearman", "cosine"])
def test_ceilings_are_rsatoolboxs_within_the_folds(method):
    facts = compared(given(), f"rsa_weighted:compare={method}").facts
    expected = [
        boot_noise_ceiling(RDMs(np.stack([on(rdm, test) for rdm in subject_rdms()])), method=method)
        for _, test in every_fold()
    ]
    np.testing.assert_allclose((facts.ceiling_lower, facts.ceiling), np.mean(expected, axis=0), atol=1e-10)


def test_score_is_the_share_of_the_upper_ceiling_which_the_true_model_comes_near():
    region = compared(given())
    assert region.normalise(0.3) == pytest.approx(0.3 / region.facts.ceiling)
    outcome = region.outcomes(represent(features()))[0]
    assert region.facts.ceiling_lower - 0.05 < outcome.raw < region.facts.ceiling + 0.02


def test_fewer_than_three_subjects_have_no_ceiling():
    region = compared(given(subject_rdms(n_subjects=2)))
    assert np.isnan(region.facts.ceiling) and "three subjects" in region.facts.notes[0]
    outcome = region.outcomes(represent(features()))[0]
    assert outcome.replicates.shape == (1, 20) and np.isfinite(outcome.raw)


def test_every_kind_of_bootstrap_equals_copies_of_what_was_held_out():
    region = compared(given())
    outcome = region.outcomes(represent(features()))[0]
    layers, subjects, resamples = squares(features()), subject_rdms(), region.resamples
    assert resamples.subjects is not None
    for sample in range(3):
        drawn = np.repeat(np.arange(4), resamples.subjects[sample])
        kinds = []
        for train, test in every_fold():
            copies = np.repeat(np.arange(len(test)), resamples.stimuli[sample, test])
            i, j = (copies[index] for index in np.triu_indices(len(copies), 1))
            i, j = i[i != j], j[i != j]
            whole, by_stimuli = [], []
            for k in range(4):
                predicted = naive_prediction(layers, subjects, k, train, test)[1]
                own = on(subjects[k], test)
                whole.append(rho(predicted, own))
                # Pairs of one kind only have no order: the fold says nothing of this sample.
                drawn_pairs = squareform(predicted)[i, j], squareform(own)[i, j]
                by_stimuli.append(rho(*drawn_pairs) if len(set(drawn_pairs[0])) > 1 else np.nan)
            whole, by_stimuli = np.array(whole), np.array(by_stimuli)
            kinds.append([by_stimuli[drawn].mean(), whole[drawn].mean(), by_stimuli.mean()])
        np.testing.assert_allclose(outcome.replicates[:, sample], np.nanmean(kinds, axis=0), atol=1e-9)


def test_the_interval_allows_for_the_fits():
    assert compared(given()).resamples.fit_share == pytest.approx(fit_share(every_fold()))


def test_one_subject_is_jackknifed_within_the_folds_and_has_no_share_of_fits():
    subject = subject_rdms(n_subjects=1)
    region = compared(given(subject), n_resamples=N + 100)
    outcome = region.outcomes(represent(features()))[0]
    values = []
    for train, test in every_fold():
        jackknife = PairJackknife(region.resamples.stimuli[:, test])
        predicted, own = naive_prediction(squares(features()), subject, 0, train, test)[1], on(subject[0], test)
        kept = [np.flatnonzero(row) for row in jackknife.left_out]
        without = np.array([rho(on(predicted, rows), on(own, rows)) for rows in kept])
        values.append(jackknife.replicates(without))
    # A sample that drew none of a fold says nothing of it.
    np.testing.assert_allclose(outcome.replicates[0], np.nanmean(values, axis=0), atol=1e-9)
    assert region.resamples.jackknifed and region.resamples.fit_share == 0
    assert compared(given(subject), n_resamples=N + 99).resamples.fit_share > 0


def test_there_is_nothing_to_choose_between():
    outcome = compared(given()).outcomes(represent(features()))[0]
    assert np.isnan(outcome.choosing).all()
    assert outcome.scoring.shape == (N_PARTITIONS * len(stimulus_folds(N, np.random.default_rng(0))), 61)
    assert outcome.scoring[:, 0].mean() == pytest.approx(outcome.raw)


@pytest.mark.parametrize("n", [10, 11, 12, 23, 24, 39, 40, 92])
def test_folds_part_the_stimuli_as_often_as_rsatoolboxs(n):
    folds = stimulus_folds(n, np.random.default_rng(0))
    assert len(folds) == default_k_pattern(n)
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= 1
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), np.arange(n))
    for train, test in folds:
        np.testing.assert_array_equal(np.setdiff1d(np.arange(n), test), train)


def test_stimuli_that_show_one_image_are_never_parted():
    images = np.array([f"image{i // 2:02d}" for i in range(N)])
    metadata = pd.DataFrame({"image": images}, index=IDS)
    for train, test in every_fold(groups=labels(metadata, "image", IDS)):
        assert not set(images[train]) & set(images[test])
    subjects, layers = subject_rdms(), squares(features())
    outcome = compared(given(), metadata=metadata).outcomes(represent(features()))[0]
    expected = [
        rho(naive_prediction(layers, subjects, k, train, test)[1], on(subjects[k], test))
        for train, test in every_fold(groups=images)
        for k in range(4)
    ]
    assert outcome.raw == pytest.approx(np.mean(expected), abs=1e-10)


def test_folds_of_few_images_are_refused():
    with pytest.raises(ResponsesError, match="24 stimuli that show 2 images leave a fold of 3.*column 'image'"):
        stimulus_folds(24, np.random.default_rng(0), np.array(["a"] * 21 + ["b"] * 3))


def test_a_layer_without_distances_is_left_out_with_the_reason():
    silent = np.abs(features()[0])
    silent[5] = 0.0
    region = compared(given(), "rsa_weighted:rdm=correlation")
    layers = represent([*features(), silent])
    outcome, without = region.outcomes(layers)[0], region.outcomes(layers[:3])[0]
    assert outcome.raw == without.raw
    assert "left out: The pattern of 1 stimuli, such as 's05'" in outcome.note and "'layer3'" in outcome.note
    assert without.note == ""
    (none,) = region.outcomes(layers[3:])
    assert np.isnan(none.raw) and "such as 's05'" in none.note


def test_no_layers_have_no_outcome():
    assert compared(given()).outcomes([]) == []


def test_responses_with_repeats_may_be_held_against_layers_by_crossnobis():
    generator = np.random.default_rng(0)
    mean = np.hstack(features())
    values = mean[:, :, None] + generator.normal(size=(*mean.shape, 6))
    region = make_responses(values, IDS, region="IT", subject="m", dims=("stimulus", "unit", "repeat"))
    of_region = compared(region, "rsa_weighted:rdm=crossnobis,compare=pearson")
    recorded = RdmComparison(find_metric("rsa:rdm=crossnobis"), region, OWNER, 2, 0)._rdms
    expected = [
        np.corrcoef(naive_prediction(squares(features()), recorded, 0, *fold)[1], on(recorded[0], fold[1]))[
            0, 1
        ]
        for fold in every_fold()
    ]
    assert of_region.outcomes(represent(features()))[0].raw == pytest.approx(np.mean(expected), abs=1e-10)
    assert np.mean(expected) > 0.5


def test_rows_and_their_ids_may_be_stored_in_any_order():
    order = np.random.default_rng(4).permutation(N)
    shuffled = np.stack([squareform(rdm)[np.ix_(order, order)] for rdm in subject_rdms()])
    again = compared(make_rdms(shuffled, [IDS[i] for i in order], [f"m{k}" for k in range(4)]))
    ours, theirs = (each.outcomes(represent(features()))[0] for each in (compared(given()), again))
    np.testing.assert_allclose(ours.replicates, theirs.replicates, rtol=0, atol=1e-10)
