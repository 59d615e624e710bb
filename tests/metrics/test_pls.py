"""Dual partial least squares against scikit-learn on the features, and in its limits."""

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import LinearRegression

from brainalign.metrics.pls import kernel_pls, pls


def problem(n=60, n_test=20, p=40, q=8, seed=0):
    generator = np.random.default_rng(seed)
    shared = generator.normal(size=(n + n_test, 6)) * np.array([4.0, 3.0, 2.5, 2.0, 1.5, 1.0])
    features = shared @ generator.normal(size=(6, p)) + generator.normal(size=(n + n_test, p)) + 2.0
    responses = shared @ generator.normal(size=(6, q)) + 2 * generator.normal(size=(n + n_test, q)) + 5.0
    return features[:n], features[n:], responses[:n], responses[n:]


def grams(train, test):
    mean = train.mean(axis=0)
    return (train - mean) @ (train - mean).T, (test - mean) @ (train - mean).T


def in_deviations(difference, responses):
    """Largest difference of predictions, in standard deviations of each unit's responses."""
    return np.abs(difference / responses.std(axis=0)).max()


@pytest.mark.parametrize("n_components", [1, 2, 5, 10, 25])
@pytest.mark.parametrize("p", [40, 300])
@pytest.mark.parametrize("seed", range(3))
def test_equals_scikit_learn(n_components, p, seed):
    train, test, responses, _ = problem(p=p, seed=seed)
    oracle = PLSRegression(n_components, scale=False).fit(train, responses).predict(test)
    predicted = kernel_pls(*grams(train, test), responses, n_components)
    assert in_deviations(predicted - oracle, responses) < 1e-6


@pytest.mark.parametrize("n_components", [1, 5])
def test_is_near_to_where_more_steps_would_end(n_components):
    train, test, responses, held_out = problem()
    finished = PLSRegression(n_components, scale=False, max_iter=100_000, tol=1e-24).fit(train, responses)
    predicted = kernel_pls(*grams(train, test), responses, n_components)
    assert 0 < in_deviations(predicted - finished.predict(test), responses) < 0.05


def test_a_first_unit_that_says_nothing_is_passed_over():
    train, test, responses, _ = problem()
    silent = responses.copy()
    silent[:, 0] = 4.0
    predicted = kernel_pls(*grams(train, test), silent, 5)
    np.testing.assert_allclose(predicted[:, 0], 4.0)
    oracle = PLSRegression(5, scale=False).fit(train, silent).predict(test)
    np.testing.assert_allclose(predicted, oracle, rtol=1e-7)


def test_one_unit_equals_scikit_learn():
    train, test, responses, _ = problem(q=1)
    oracle = PLSRegression(7, scale=False).fit(train, responses).predict(test)
    np.testing.assert_allclose(kernel_pls(*grams(train, test), responses, 7), oracle.reshape(-1, 1), rtol=1e-9)


def test_the_first_component_nears_the_direction_of_greatest_covariance():
    train, test, responses, _ = problem()
    centred = train - train.mean(axis=0)
    targets = responses - responses.mean(axis=0)
    weights = np.linalg.svd(centred.T @ targets)[0][:, :1]
    score = centred @ weights
    expected = (test - train.mean(axis=0)) @ weights @ (score.T @ targets) / (score.T @ score)
    predicted = kernel_pls(*grams(train, test), responses, 1)
    assert in_deviations(predicted - expected - responses.mean(axis=0), responses) < 0.01


@pytest.mark.parametrize("p", [1, 3, 10, 24])
def test_fewer_features_than_components_end_in_least_squares(p):
    train, test, responses, _ = problem(p=p)
    least_squares = LinearRegression().fit(train, responses).predict(test)
    np.testing.assert_allclose(pls().kernel(*grams(train, test), responses), least_squares, rtol=1e-7)


def test_features_of_low_rank_end_in_least_squares():
    # 300 features that are mixtures of 10: rounding must not be taken for further dimensions.
    train, test, responses, _ = problem(p=10)
    mixing = np.random.default_rng(1).normal(size=(10, 300))
    least_squares = LinearRegression().fit(train, responses).predict(test)
    predicted = pls().kernel(*grams(train @ mixing, test @ mixing), responses)
    np.testing.assert_allclose(predicted, least_squares, rtol=1e-6)


def test_fewer_stimuli_than_components_meet_every_response():
    train, _, responses, _ = problem(n=12, p=300)
    gram = grams(train, train)[0]
    np.testing.assert_allclose(kernel_pls(gram, gram, responses, 25), responses, rtol=1e-6)


def test_more_components_fit_the_training_responses_better():
    train, _, responses, _ = problem()
    gram = grams(train, train)[0]
    errors = [np.sum((kernel_pls(gram, gram, responses, k) - responses) ** 2) for k in range(1, 26)]
    assert (np.diff(errors) < 0).all()


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_scale_of_the_features_does_not_matter(scale):
    train, test, responses, _ = problem()
    plain = pls().kernel(*grams(train, test), responses)
    scaled = pls().kernel(*grams(scale * train, scale * test), responses)
    np.testing.assert_allclose(scaled, plain, rtol=1e-8)


def test_scales_of_the_units_weigh_them_against_each_other():
    train, test, responses, _ = problem()
    weights = np.array([100.0, 1, 1, 1, 1, 1, 1, 1])
    predicted = kernel_pls(*grams(train, test), responses * weights, 2) / weights
    oracle = PLSRegression(2, scale=False).fit(train, responses * weights).predict(test) / weights
    np.testing.assert_allclose(predicted, oracle, rtol=1e-6)
    assert in_deviations(predicted - kernel_pls(*grams(train, test), responses, 2), responses) > 0.05


def test_responses_that_do_not_vary_are_predicted_by_their_mean():
    train, test, responses, _ = problem()
    constant = np.full_like(responses, 3.0)
    np.testing.assert_allclose(pls().kernel(*grams(train, test), constant), np.full((20, 8), 3.0))


def test_does_not_change_what_it_is_given():
    train, test, responses, _ = problem()
    given_arrays = [*grams(train, test), responses]
    copies = [array.copy() for array in given_arrays]
    pls().kernel(*given_arrays)
    for array, copy in zip(given_arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
