"""Decoding from layers against loops over folds, its ceiling, its folds, and labels that cannot be decoded."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import RidgeClassifierCV

from brainalign.compare.decoding import Decoding, labelled, stratified_folds
from brainalign.compare.problems import make_problems, provides, raise_unmet
from brainalign.data import Recording, StimulusSet
from brainalign.data.responses import make_rdms, make_responses
from brainalign.errors import NeedsError, ResponsesError
from brainalign.metrics import find_metric
from brainalign.metrics.decoding import N_ALPHAS
from brainalign.probing import Representation

N, P = 60, 15
IDS = [f"s{i:02d}" for i in range(N)]
CLASSES = np.array(["animal", "face", "house"])[np.arange(N) % 3]


def table(category=CLASSES, **columns):
    index = pd.Index(IDS, name="stimulus", dtype=object)
    return pd.DataFrame({"category": category} | columns, index=index)


def features(seed=0, p=P, signal=1.5):
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(3, p))
    return signal * centres[np.arange(N) % 3] + 2 * generator.normal(size=(N, p))


def layer(x):
    return Representation.from_features(x, IDS)


def decoded(responses=None, metadata=None, metric="decoding", n_resamples=20, seed=0):
    values = features(1) if responses is None else responses
    dims = ("stimulus", "unit", "repeat")[: values.ndim]
    region = make_responses(values, IDS, region="IT", subject="m", dims=dims)
    return Decoding(
        find_metric(metric),
        region,
        "Region 'IT' of 'test'",
        n_resamples,
        seed,
        table() if metadata is None else metadata,
    )


def naive(x, train, test, truth=CLASSES):
    centred = x[train] - x[train].mean(axis=0)
    alphas = np.logspace(-5, 5, N_ALPHAS) * (centred**2).sum() / len(train)
    model = RidgeClassifierCV(alphas, class_weight="balanced").fit(x[train], truth[train])
    right = model.predict(x[test]) == truth[test]
    return np.mean([right[truth[test] == each].mean() for each in set(truth[test])])


def test_value_is_the_mean_over_folds_of_the_balanced_accuracy():
    x = features()
    compared = decoded()
    outcome = compared.outcomes([layer(x)])[0]
    scoring = [naive(x, fold.train, fold.test) for fold in compared._folds]
    choosing = [np.mean([naive(x, *rows) for rows in fold.inner]) for fold in compared._folds]
    np.testing.assert_allclose(outcome.scoring[:, 0], scoring)
    np.testing.assert_allclose(outcome.choosing[:, 0], choosing)
    assert outcome.raw == pytest.approx(np.mean(scoring))
    assert 1 / 3 < outcome.raw < 1


def test_bootstrap_resamples_held_out_decisions_within_their_folds():
    x = features()
    compared = decoded()
    outcome = compared.outcomes([layer(x)])[0]
    for sample in range(3):
        found = []
        for fold in compared._folds:
            copies = np.repeat(fold.test, compared.resamples.stimuli[sample, fold.test])
            found.append(naive(x, fold.train, copies))
        assert outcome.replicates[0, sample] == pytest.approx(np.mean(found))


def test_the_region_as_a_layer_reaches_its_own_ceiling():
    responses = features(1)
    compared = decoded(responses)
    outcome = compared.outcomes([layer(responses)])[0]
    assert outcome.raw == pytest.approx(compared.facts.ceiling)
    assert compared.normalise(outcome.raw) == pytest.approx(1.0)
    assert compared.normalise(1 / 3) == pytest.approx(0.0)
    assert compared.facts.notes == ("chance 0.333: 3 classes",)


def test_no_ceiling_where_the_region_says_nothing():
    compared = decoded(np.random.default_rng(5).normal(size=(N, 4)) * np.arange(1, 5))
    wrong = next(
        each
        for each in (decoded(np.random.default_rng(seed).normal(size=(N, 4))) for seed in range(40))
        if np.isnan(each.facts.ceiling)
    )
    assert wrong.facts.notes[-1] == "no ceiling: the region itself decodes no better than chance"
    assert np.isnan(wrong.normalise(0.9))
    assert np.isnan(compared.facts.ceiling) or compared.facts.ceiling > 1 / 3


def test_matrices_are_enough_for_the_layers_side():
    generator = np.random.default_rng(0)
    rdms = make_rdms(generator.gamma(2.0, size=(3, N * (N - 1) // 2)), IDS, ["a", "b", "c"])
    compared = Decoding(find_metric("decoding"), rdms, "Region 'IT' of 'test'", 5, 0, table())
    assert np.isnan(compared.facts.ceiling) and compared.facts.n_units == -1
    assert "given as dissimilarities" in compared.facts.notes[-1]
    x = features()
    assert compared.outcomes([layer(x)])[0].raw == decoded().outcomes([layer(x)])[0].raw


def test_rare_classes_weigh_as_much_as_common_ones():
    truth = np.where(np.arange(N) % 6 == 0, "rare", "common")
    x = 1.2 * (truth == "rare")[:, None] + np.random.default_rng(3).normal(size=(N, 3))
    compared = decoded(x, table(truth))
    assert compared.outcomes([layer(x)])[0].raw > 0.65
    assert compared.facts.notes[0] == "chance 0.5: 2 classes"


def test_stimuli_without_a_label_are_left_out_and_counted():
    category = CLASSES.astype(object)
    category[:6] = None
    compared = decoded(metadata=table(category))
    assert compared.facts.stimuli == tuple(IDS[6:])
    assert compared.facts.notes[1] == "6 stimuli without a label left out"
    x = features()
    outcome = compared.outcomes([layer(x).select(IDS[6:])])[0]
    assert np.isfinite(outcome.raw) and compared.resamples.stimuli.shape[1] == N - 6


def test_labels_may_be_truth_values_or_numbers_and_their_column_hyphenated():
    metadata = table(**{"is-face": CLASSES == "face", "number": np.arange(N) % 2})
    for metric, names in (("decoding:label=is-face", ("False", "True")), ("decoding:label=number", ("0", "1"))):
        found = labelled(metadata, str(find_metric(metric).options["label"]), IDS, "It")
        assert found.names == names
        assert np.isfinite(decoded(metadata=metadata, metric=metric).outcomes([layer(features())])[0].raw)


def test_order_of_rows_changes_nothing():
    rows = np.random.default_rng(2).permutation(N)
    x, y = features(), features(1)
    shuffled = make_responses(y[rows], [IDS[i] for i in rows], region="IT", subject="m")
    again = Decoding(find_metric("decoding"), shuffled, "It", 20, 0, table().iloc[rows[::-1]])
    compared = decoded(y)
    assert again.facts == compared.facts
    np.testing.assert_array_equal(
        again.outcomes([layer(x)])[0].replicates, compared.outcomes([layer(x)])[0].replicates
    )


def test_each_training_stimulus_chooses_once():
    for fold in decoded()._folds:
        assert sorted(np.concatenate([choose for _, choose in fold.inner])) == fold.train.tolist()
        for fit, choose in fold.inner:
            assert sorted([*fit, *choose]) == fold.train.tolist()


def test_images_that_are_the_same_never_part():
    compared = decoded(metadata=table(image=[f"i{i // 6}" for i in range(N)]))
    for fold in compared._folds:
        for one, other in ((fold.train, fold.test), *fold.inner):
            assert not set(one // 6) & set(other // 6)
            assert len(one) and len(other)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(2, 6), st.integers(0, 99))
def test_folds_share_each_class_out_evenly(counts, n_folds, seed):
    classes = np.repeat(np.arange(len(counts)), counts)
    folds = stratified_folds(classes, None, n_folds, np.random.default_rng(seed))
    sizes = np.bincount(folds, minlength=n_folds)
    assert np.ptp(sizes) <= 1
    for k in range(len(counts)):
        assert np.ptp(np.bincount(folds[classes == k], minlength=n_folds)) <= 1


def test_folds_are_drawn_at_random():
    classes = np.zeros(40, dtype=int)
    drawn = [stratified_folds(classes, None, 4, np.random.default_rng(seed)) for seed in range(200)]
    together = np.mean([folds[0] == folds[1] for folds in drawn])
    assert together == pytest.approx(9 / 39, abs=0.09)
    assert np.mean([folds[0] == 0 for folds in drawn]) == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize(
    ("metadata", "metric", "message"),
    [
        (table(), "decoding:label=categry", "no such label.*Did you mean 'category'"),
        (table(np.full(N, "face")), "decoding", "has 1 classes in the column 'category'"),
        (
            table(np.where(np.arange(N) < 3, "rare", "common")),
            "decoding",
            "3 stimuli of class 'rare', of 2 classes",
        ),
        (table(np.arange(N)), "decoding", "1 stimuli of class '0', of 60 classes; 4 folds need 4 of each"),
    ],
)
def test_labels_that_cannot_be_decoded(metadata, metric, message):
    with pytest.raises(NeedsError, match=message):
        decoded(metadata=metadata, metric=metric)


def test_few_labelled_stimuli():
    category = CLASSES.astype(object)
    category[9:] = None
    with pytest.raises(ResponsesError, match="of those with a label, has 9 stimuli"):
        decoded(metadata=table(category))


def test_one_image_alone_cannot_be_split():
    with pytest.raises(ResponsesError, match="Only 0 stimuli are left"):
        decoded(metadata=table(image=["same"] * N))


def test_a_recording_provides_labels_if_its_stimuli_have_metadata():
    responses = make_responses(features(1), IDS, region="IT", subject="m")
    assert "labels" in provides(responses, table()) and "labels" not in provides(responses)
    assert "labels" not in provides(responses, table().iloc[:, :0])
    bare = Recording("bare", StimulusSet.from_ids(IDS), {"IT": responses})
    problems = make_problems(bare, [find_metric("decoding"), find_metric("ridge")], 5, 0)
    assert problems[0].unmet == "Region 'IT' of 'bare' has no labels, which decoding needs"
    with pytest.raises(NeedsError, match="has no labels, which decoding needs. Metrics that it allows: ridge"):
        raise_unmet(problems)
    whole = Recording("whole", StimulusSet("whole", table()), {"IT": responses})
    (problem,) = make_problems(whole, [find_metric("decoding")], 5, 0)
    assert problem.comparison is not None
    (problem,) = make_problems(whole, [find_metric("decoding:label=object")], 5, 0)
    assert problem.comparison is None and "Choices: category" in problem.unmet
