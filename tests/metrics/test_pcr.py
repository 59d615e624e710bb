"""Principal-component regression against scikit-learn on the features, and in its limits."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from brainalign.metrics.pcr import pcr, principal_component_regression


def problem(n=40, n_test=12, p=15, q=6, seed=0):
    generator = np.random.default_rng(seed)
    features = generator.normal(0.5, 1.0, (n + n_test, p)) * generator.gamma(1.0, size=p)
    responses = features @ generator.normal(size=(p, q)) + generator.normal(size=(n + n_test, q)) + 3.0
    return features[:n], features[n:], responses[:n]


def grams(train, test):
    mean = train.mean(axis=0)
    return (train - mean) @ (train - mean).T, (test - mean) @ (train - mean).T


@pytest.mark.parametrize("n_components", [1, 3, 15])
@pytest.mark.parametrize("p", [15, 40, 300])
def test_equals_principal_components_and_least_squares(n_components, p):
    train, test, responses = problem(p=p)
    oracle = make_pipeline(PCA(n_components, svd_solver="full"), LinearRegression()).fit(train, responses)
    predicted = principal_component_regression(*grams(train, test), responses, n_components)
    np.testing.assert_allclose(predicted, oracle.predict(test), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("p", "rank"), [(6, 6), (60, 4)])
def test_more_components_than_dimensions_are_least_squares_on_those_there_are(p, rank):
    generator = np.random.default_rng(1)
    train, test, responses = problem(p=rank)
    if p > rank:
        # Features that repeat each other: what is left beyond the rank is rounding.
        mix = generator.normal(size=(rank, p))
        train, test = train @ mix, test @ mix
    predicted = principal_component_regression(*grams(train, test), responses, 25)
    oracle = make_pipeline(PCA(rank, svd_solver="full"), LinearRegression()).fit(train, responses)
    np.testing.assert_allclose(predicted, oracle.predict(test), rtol=1e-8, atol=1e-8)


def test_all_directions_of_the_training_stimuli_meet_their_responses_exactly():
    train, _, responses = problem(n=20, p=100)
    gram = grams(train, train)[0]
    np.testing.assert_allclose(principal_component_regression(gram, gram, responses, 19), responses, atol=1e-8)
    np.testing.assert_allclose(principal_component_regression(gram, gram, responses, 500), responses, atol=1e-8)


def test_features_that_do_not_vary_predict_the_mean():
    _, _, responses = problem()
    predicted = pcr().kernel(np.zeros((40, 40)), np.zeros((12, 40)), responses)
    np.testing.assert_allclose(predicted, np.tile(responses.mean(axis=0), (12, 1)), rtol=1e-12)


def test_the_metric_takes_as_many_components_as_it_says():
    train, test, responses = problem(p=60)
    blocks = grams(train, test)
    for metric, n_components in ((pcr(), 25), (pcr(4), 4)):
        oracle = make_pipeline(PCA(n_components, svd_solver="full"), LinearRegression()).fit(train, responses)
        np.testing.assert_allclose(metric.kernel(*blocks, responses), oracle.predict(test), rtol=1e-8)
        assert metric.options == {"n_components": n_components}
        assert f"{n_components} principal components" in metric.label


def test_does_not_change_what_it_is_given():
    train, test, responses = problem()
    given = [*grams(train, test), responses]
    copies = [array.copy() for array in given]
    pcr(5).kernel(*given)
    for array, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
