"""Ridge classification and balanced accuracy against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifierCV
from sklearn.metrics import balanced_accuracy_score

from brainalign.metrics.decoding import (
    N_ALPHAS,
    balanced_accuracy,
    balanced_weights,
    chance_accuracy,
    decide_from_gram,
    feature_axes,
    gram_axes,
    indicators,
    ridge_scores,
)


def problem(p, counts, seed=0, n_test=30):
    """Clusters of classes, of these sizes, in p dimensions; then test stimuli from the same clusters."""
    generator = np.random.default_rng(seed)
    classes = np.repeat(np.arange(len(counts)), counts)
    centres = generator.normal(size=(len(counts), p))
    test_classes = generator.integers(len(counts), size=n_test)
    train, test = (5 + 2 * centres[c] + 3 * generator.normal(size=(len(c), p)) for c in (classes, test_classes))
    return train, classes, test, test_classes


CASES = [(5, (20, 20)), (12, (15, 15, 15)), (80, (9, 9, 9, 9)), (6, (30, 8, 4)), (60, (12, 20, 5)), (1, (9, 7))]


@pytest.mark.parametrize(("p", "counts"), CASES)
@pytest.mark.parametrize("form", ["gram", "features"])
def test_scores_equal_those_of_ridge_classifier_cv(p, counts, form):
    train, classes, test, _ = problem(p, counts)
    weights = balanced_weights(classes, len(counts))
    if form == "gram":
        axes = gram_axes(train @ train.T, test @ train.T, weights)
    else:
        axes = feature_axes(train, test, weights)
    scores = ridge_scores(axes, indicators(classes, len(counts)))
    centred = train - weights @ train / weights.sum()
    alphas = np.logspace(-5, 5, N_ALPHAS) * (weights @ centred**2).sum() / len(train)
    oracle = RidgeClassifierCV(alphas, class_weight="balanced").fit(train, classes)
    expected = oracle.decision_function(test)
    # Its targets are −1 and 1, and of two classes it keeps the second.
    found = 2 * (scores[:, 1] if len(counts) == 2 else scores) - 1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(np.argmax(scores, axis=1), oracle.predict(test))
    np.testing.assert_array_equal(
        decide_from_gram(train @ train.T, test @ train.T, classes, len(counts)), oracle.predict(test)
    )


def test_rotation_scaling_and_translation_change_nothing():
    train, classes, test, _ = problem(12, (15, 10, 20))
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))[0]

    def scores(x, z):
        return ridge_scores(gram_axes(x @ x.T, z @ x.T, balanced_weights(classes, 3)), indicators(classes, 3))

    before = scores(train, test)
    for change in (lambda x: x @ rotation, lambda x: 1e4 * x, lambda x: 1e-4 * x, lambda x: x + 100.0):
        np.testing.assert_allclose(scores(change(train), change(test)), before, rtol=0, atol=1e-6)


def test_a_rare_class_is_not_forgotten():
    train, classes, test, truth = problem(4, (300, 12), seed=3, n_test=400)
    decided = decide_from_gram(train @ train.T, test @ train.T, classes, 2)
    recalls = [np.mean(decided[truth == k] == k) for k in range(2)]
    assert min(recalls) > 0.5


def test_features_that_say_nothing_decide_for_one_class():
    classes = np.repeat([0, 1, 2], 5)
    decided = decide_from_gram(np.zeros((15, 15)), np.zeros((6, 15)), classes, 3)
    assert len(set(decided)) == 1


@pytest.mark.parametrize("counts", [(4, 4, 4), (9, 2, 5)])
def test_weights_make_classes_equal(counts):
    classes = np.repeat(np.arange(3), counts)
    weights = balanced_weights(classes, 3)
    np.testing.assert_allclose(np.bincount(classes, weights), len(classes) / 3)


def test_balanced_accuracy_is_scikit_learns_under_each_row_of_weights():
    generator = np.random.default_rng(0)
    truth, decided = generator.integers(4, size=60), generator.integers(4, size=60)
    weights = np.vstack([np.ones(60), generator.multinomial(60, np.full(60, 1 / 60), 5)])
    found = balanced_accuracy(truth, decided, weights, 4)
    for row, value in zip(weights, found, strict=True):
        copies = np.repeat(np.arange(60), row.astype(int))
        assert value == pytest.approx(balanced_accuracy_score(truth[copies], decided[copies]))


def test_classes_without_weight_are_left_out():
    truth, decided = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])
    weights = np.array([[1.0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    found = balanced_accuracy(truth, decided, weights, 3)
    assert found[:2].tolist() == [0.75, 0.0]
    assert np.isnan(found[2])


def test_chance_is_one_in_the_number_of_classes():
    assert chance_accuracy(np.array(["a", "b", "a", "c"])) == pytest.approx(1 / 3)
