"""Reverse ridge from Gram matrices against scikit-learn on explicit units and features."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV

from brainalign.metrics.reverse import pooled_correlation, pooled_leave_one_out_errors, reverse_ridge
from brainalign.metrics.ridge import leave_one_out_errors, relative_alphas, spectrum


def problem(n=30, n_test=12, p=50, q=8, seed=0, noise=0.5):
    """Responses of q units, and p features that partly follow from them."""
    generator = np.random.default_rng(seed)
    responses = generator.normal(1.0, 1.0, (n + n_test, q)) * generator.gamma(2.0, size=q)
    features = responses @ generator.normal(size=(q, p)) * generator.gamma(1.0, size=p)
    features += noise * features.std() * generator.normal(size=features.shape) + 4.0
    return responses, features


def centred(values, n=30):
    return values - values[:n].mean(axis=0)


@pytest.mark.parametrize(("q", "p"), [(1, 50), (8, 1), (8, 50), (8, 400), (60, 50)])
def test_errors_are_those_of_really_leaving_one_out(q, p):
    responses, features = problem(q=q, p=p)
    r, x = centred(responses)[:30], centred(features)[:30]
    alphas = relative_alphas(r @ r.T, 5)
    found = pooled_leave_one_out_errors(*spectrum(r @ r.T), x @ x.T, alphas)
    expected = []
    for alpha in alphas:
        errors = []
        for i in range(30):
            kept = np.arange(30) != i
            fit = Ridge(alpha).fit(responses[:30][kept], features[:30][kept])
            errors.append(np.sum((features[i] - fit.predict(responses[i : i + 1])[0]) ** 2))
        expected.append(np.mean(errors))
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_errors_are_the_sum_over_features():
    responses, features = problem()
    r, x = centred(responses)[:30], centred(features)[:30]
    alphas = np.logspace(-4, 4, 9)
    each = leave_one_out_errors(*spectrum(r @ r.T), x, alphas)
    found = pooled_leave_one_out_errors(*spectrum(r @ r.T), x @ x.T, alphas)
    np.testing.assert_allclose(found, each.sum(axis=1), rtol=1e-10)


@pytest.mark.parametrize(("q", "p"), [(8, 50), (60, 50), (8, 400)])
@pytest.mark.parametrize("noise", [0.1, 3.0])
def test_weights_give_the_predictions_of_ridge_cv(q, p, noise):
    responses, features = problem(q=q, p=p, noise=noise)
    r, x = centred(responses), centred(features)
    gram = r[:30] @ r[:30].T
    weights = reverse_ridge(21).kernel(gram, r[30:] @ r[:30].T)(x[:30] @ x[:30].T)
    oracle = RidgeCV(relative_alphas(gram, 21)).fit(responses[:30], features[:30])
    predicted = weights @ x[:30] + features[:30].mean(axis=0)
    np.testing.assert_allclose(predicted, oracle.predict(responses[30:]), rtol=1e-7, atol=1e-7)


def naive(predicted, observed):
    """Correlation of all entries, each feature less its mean over stimuli."""
    predicted, observed = predicted - predicted.mean(axis=0), observed - observed.mean(axis=0)
    return np.corrcoef(predicted.ravel(), observed.ravel())[0, 1]


def test_pooled_correlation_is_that_of_all_centred_entries():
    generator = np.random.default_rng(1)
    observed = generator.normal(2.0, 1.0, (15, 40)) * generator.gamma(1.0, size=40)
    predicted = 0.3 * observed + generator.normal(size=observed.shape)
    counts = np.vstack([np.ones(15, dtype=int), generator.multinomial(15, np.full(15, 1 / 15), 20)])
    found = pooled_correlation(
        predicted @ predicted.T, predicted @ observed.T, observed @ observed.T, 1.0 * counts
    )
    for value, count in zip(found, counts, strict=True):
        rows = np.repeat(np.arange(15), count)
        assert value == pytest.approx(naive(predicted[rows], observed[rows]), abs=1e-10)


def test_pooled_correlation_of_one_feature_is_pearson_and_of_many_no_mean_of_them():
    generator = np.random.default_rng(2)
    x, y = generator.normal(size=(2, 20, 2)) * [1.0, 10.0]
    y[:, 1] += x[:, 1]
    ones = np.ones((1, 20))

    def pooled(a, b):
        return pooled_correlation(a @ a.T, a @ b.T, b @ b.T, ones)[0]

    each = [np.corrcoef(x[:, k], y[:, k])[0, 1] for k in range(2)]
    for k in range(2):
        assert pooled(x[:, [k]], y[:, [k]]) == pytest.approx(each[k], abs=1e-12)
    # The feature that varies more decides.
    assert pooled(x, y) == pytest.approx(each[1], abs=0.05)


def test_constant_predictions_score_nothing_and_constant_features_are_undefined():
    x = np.random.default_rng(3).normal(size=(6, 3))
    same, ones = np.ones((6, 3)), np.ones((1, 6))
    assert pooled_correlation(same @ same.T, same @ x.T, x @ x.T, ones)[0] == 0.0
    assert np.isnan(pooled_correlation(x @ x.T, x @ same.T, same @ same.T, ones)[0])
    two = np.array([[1.0, 3.0, 0, 0, 0, 0], [0.0] * 6, [1.0, 1.0, 1.0, 0, 0, 0]])
    found = pooled_correlation(x @ x.T, x @ x.T, x @ x.T, two)
    assert np.isnan(found[:2]).all() and found[2] == pytest.approx(1.0)


def test_units_that_do_not_vary_predict_nothing():
    _, features = problem()
    x = centred(features)
    weights = reverse_ridge().kernel(np.zeros((30, 30)), np.zeros((12, 30)))(x[:30] @ x[:30].T)
    assert weights.shape == (12, 30) and not weights.any()


def test_does_not_change_what_it_is_given():
    responses, features = problem()
    r, x = centred(responses), centred(features)
    given = [r[:30] @ r[:30].T, r[30:] @ r[:30].T, x[:30] @ x[:30].T]
    copies = [array.copy() for array in given]
    reverse_ridge().kernel(*given[:2])(given[2])
    for array, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
