"""Ridge from Gram matrices against scikit-learn on the features, and in its limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV

from brainalign.metrics.ridge import (
    leave_one_out_errors,
    relative_alphas,
    ridge,
    ridge_fixed,
    ridge_leave_one_out,
    spectrum,
)

ALPHAS = np.logspace(-3, 5, 17)


def problem(n=40, n_test=12, p=15, q=6, noise=1.0, seed=0):
    """Features of training and test stimuli, and responses that partly follow from them."""
    generator = np.random.default_rng(seed)
    features = generator.normal(0.5, 1.0, (n + n_test, p)) * generator.gamma(1.0, size=p)
    responses = features @ generator.normal(size=(p, q)) + noise * np.sqrt(p) * generator.normal(
        size=(n + n_test, q)
    )
    return features[:n], features[n:], responses[:n] * generator.gamma(1.0, 10.0, q), responses[n:]


def grams(train, test):
    mean = train.mean(axis=0)
    return (train - mean) @ (train - mean).T, (test - mean) @ (train - mean).T


@pytest.mark.parametrize("p", [1, 15, 40, 200])
@pytest.mark.parametrize("noise", [0.1, 1.0, 5.0])
def test_equals_ridge_cv(p, noise):
    train, test, responses, _ = problem(p=p, noise=noise)
    oracle = RidgeCV(ALPHAS, alpha_per_target=True).fit(train, responses)
    predicted, chosen = ridge_leave_one_out(*grams(train, test), responses, ALPHAS)
    np.testing.assert_array_equal(chosen, oracle.alpha_)
    np.testing.assert_allclose(predicted, oracle.predict(test), rtol=1e-8, atol=1e-8)


def test_units_choose_their_own_penalty():
    train, test, responses, _ = problem(noise=0.05)
    responses = np.column_stack([responses[:, 0], np.random.default_rng(1).normal(size=len(responses))])
    chosen = ridge_leave_one_out(*grams(train, test), responses, ALPHAS)[1]
    assert chosen[0] < chosen[1]


@pytest.mark.parametrize("alpha", [0.01, 1.0, 100.0])
def test_leave_one_out_errors_are_those_of_really_leaving_one_out(alpha):
    train, test, responses, _ = problem(n=14, q=3)
    # Between two penalties the one with the smaller error must be chosen, whichever comes first.
    others = [alpha, alpha * 3.0]
    errors = []
    for each in others:
        left_out = []
        for i in range(len(train)):
            kept = np.arange(len(train)) != i
            fit = Ridge(each).fit(train[kept], responses[kept])
            left_out.append(responses[i] - fit.predict(train[i : i + 1])[0])
        errors.append(np.mean(np.square(left_out), axis=0))
    expected = np.array(others)[np.argmin(errors, axis=0)]
    for order in (others, others[::-1]):
        chosen = ridge_leave_one_out(*grams(train, test), responses, np.array(order))[1]
        np.testing.assert_array_equal(chosen, expected)


@pytest.mark.parametrize("p", [3, 200])
def test_leave_one_out_errors_equal_naive_ones_at_every_penalty(p):
    # All penalties share a few curves; however far apart they are, none may spoil another's digits.
    train, test, responses, _ = problem(n=16, p=p, q=5)
    gram = grams(train, test)[0]
    alphas = np.logspace(-6, 6, 25) * np.trace(gram) / len(gram)
    centred = responses - responses.mean(axis=0)
    errors = leave_one_out_errors(*spectrum(gram), centred, alphas)
    for alpha, found in zip(alphas, errors, strict=True):
        left_out = np.empty_like(responses)
        for i in range(len(train)):
            kept = np.arange(len(train)) != i
            fit = Ridge(alpha, solver="svd").fit(train[kept], responses[kept])
            left_out[i] = responses[i] - fit.predict(train[i : i + 1])[0]
        np.testing.assert_allclose(found, np.mean(left_out**2, axis=0), rtol=1e-7)


def test_blocks_of_units_change_nothing(monkeypatch):
    train, test, responses, _ = problem(q=7)
    blocks = [*grams(train, test), responses, ALPHAS]
    whole = ridge_leave_one_out(*blocks)
    monkeypatch.setattr("brainalign.metrics.ridge.MEMORY", 8 * 40 * 60 * 2)
    for found, expected in zip(ridge_leave_one_out(*blocks), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_the_spectrum_leaves_out_what_is_only_rounding():
    train, test, _, _ = problem(n=20, p=6)
    gram = grams(train, test)[0]
    eigenvalues, axes = spectrum(gram)
    assert eigenvalues.shape == (6,)
    np.testing.assert_allclose(axes * eigenvalues @ axes.T, gram, atol=1e-10 * np.trace(gram))
    singular = np.linalg.svd(train - train.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(eigenvalues, np.sort(singular**2), rtol=1e-8)


def test_a_vanishing_penalty_is_least_squares_and_a_huge_one_the_mean():
    train, test, responses, _ = problem()
    least_squares = LinearRegression().fit(train, responses).predict(test)
    tiny = ridge_leave_one_out(*grams(train, test), responses, np.array([1e-9]))[0]
    np.testing.assert_allclose(tiny, least_squares, atol=1e-6)
    huge = ridge_leave_one_out(*grams(train, test), responses, np.array([1e15]))[0]
    np.testing.assert_allclose(huge, np.tile(responses.mean(axis=0), (len(test), 1)), rtol=1e-9)


def test_more_features_than_stimuli_do_not_break_leave_one_out():
    # Without a penalty every training response is met exactly: the leverage of all stimuli nears 1.
    train, test, responses, _ = problem(n=20, p=500)
    alphas = relative_alphas(grams(train, test)[0], 41)
    predicted, chosen = ridge_leave_one_out(*grams(train, test), responses, alphas)
    oracle = RidgeCV(alphas, alpha_per_target=True).fit(train, responses)
    np.testing.assert_array_equal(chosen, oracle.alpha_)
    np.testing.assert_allclose(predicted, oracle.predict(test), rtol=1e-8)


def test_features_that_do_not_vary_predict_the_mean():
    _, test, responses, _ = problem()
    for metric in (ridge(), ridge_fixed()):
        predicted = metric.kernel(np.zeros((40, 40)), np.zeros((12, 40)), responses)
        np.testing.assert_allclose(predicted, np.tile(responses.mean(axis=0), (len(test), 1)), rtol=1e-12)


def test_does_not_change_what_it_is_given():
    train, test, responses, _ = problem()
    given_arrays = [*grams(train, test), responses]
    copies = [array.copy() for array in given_arrays]
    ridge().kernel(*given_arrays)
    ridge_fixed().kernel(*given_arrays)
    for array, copy in zip(given_arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@settings(max_examples=25)
@given(scale=st.floats(1e-4, 1e4), n_alphas=st.integers(2, 60))
def test_penalties_grow_with_the_features(scale, n_alphas):
    train, test, _, _ = problem()
    gram = grams(train, test)[0]
    alphas = relative_alphas(gram, n_alphas)
    mean_eigenvalue = np.linalg.eigvalsh(gram).mean()
    np.testing.assert_allclose(alphas[[0, -1]], mean_eigenvalue * np.array([1e-5, 1e5]), rtol=1e-9)
    np.testing.assert_allclose(np.diff(np.log(alphas)), np.log(1e10) / (n_alphas - 1), rtol=1e-6)
    np.testing.assert_allclose(relative_alphas(scale * gram, n_alphas), scale * alphas, rtol=1e-9)


def test_the_metric_predicts_with_relative_penalties():
    train, test, responses, _ = problem()
    blocks = grams(train, test)
    oracle = RidgeCV(relative_alphas(blocks[0], 41), alpha_per_target=True).fit(train, responses)
    np.testing.assert_allclose(ridge().kernel(*blocks, responses), oracle.predict(test), rtol=1e-8)
    coarse = RidgeCV(relative_alphas(blocks[0], 3), alpha_per_target=True).fit(train, responses)
    np.testing.assert_allclose(ridge(3).kernel(*blocks, responses), coarse.predict(test), rtol=1e-8)


@pytest.mark.parametrize("alpha", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("p", [5, 200])
def test_one_penalty_equals_ridge(alpha, p):
    train, test, responses, _ = problem(p=p)
    oracle = Ridge(alpha).fit(train, responses).predict(test)
    np.testing.assert_allclose(ridge_fixed(alpha).kernel(*grams(train, test), responses), oracle, rtol=1e-8)


def test_what_determines_the_responses_is_found():
    train, test, responses, held_out = problem(n=200, n_test=50, noise=0.01)
    predicted = ridge().kernel(*grams(train, test), responses)
    correlations = [np.corrcoef(predicted[:, unit], held_out[:, unit])[0, 1] for unit in range(6)]
    assert min(correlations) > 0.99
