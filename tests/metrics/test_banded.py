"""Banded ridge against himalaya, and against scikit-learn on features side by side."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, RidgeCV

from brainalign.metrics.banded import band_weights, banded_ridge, ridge_banded
from brainalign.metrics.ridge import relative_alphas, ridge

N, N_TEST, Q = 30, 10, 5
SIZES = (4, 60, 12)


def problem(seed=0, sizes=SIZES, noise=0.5):
    """Bands of different size and scale; each unit follows another mixture of them."""
    generator = np.random.default_rng(seed)
    bands = [
        generator.normal(0.3, 1.0, (N + N_TEST, p)) * scale
        for p, scale in zip(sizes, (1.0, 30.0, 0.01), strict=False)
    ]
    responses = noise * generator.normal(size=(N + N_TEST, Q)) + 2.0
    for band in bands:
        drive = band @ generator.normal(size=(band.shape[1], Q))
        responses += drive / drive.std(axis=0) * generator.dirichlet(np.full(Q, 0.5)) * Q
    return bands, responses


def blocks(bands):
    train_grams, cross_grams = [], []
    for band in bands:
        centred = band - band[:N].mean(axis=0)
        train_grams.append(centred[:N] @ centred[:N].T)
        cross_grams.append(centred[N:] @ centred[:N].T)
    return np.stack(train_grams), np.stack(cross_grams)


def normalised(bands):
    """Bands of which the training stimuli have a mean eigenvalue of 1."""
    return [band / np.sqrt(np.mean(np.sum((band[:N] - band[:N].mean(axis=0)) ** 2, axis=1))) for band in bands]


def naive(bands, responses, mixtures, alphas):
    """Of scikit-learn's leave-one-out ridge on features times √γ, side by side, the best mixture a unit."""
    scores, predictions = [], []
    for weights in mixtures:
        wide = np.hstack([np.sqrt(w) * band for w, band in zip(weights, normalised(bands), strict=True)])
        fit = RidgeCV(alphas, alpha_per_target=True, scoring=None).fit(wide[:N], responses[:N])
        scores.append(fit.best_score_)
        predictions.append(fit.predict(wide[N:]))
    best = np.argmax(scores, axis=0)
    return np.stack(predictions)[best, :, np.arange(Q)].T, best


@pytest.mark.parametrize("seed", range(4))
def test_equals_ridge_on_scaled_features_side_by_side(seed):
    bands, responses = problem(seed)
    mixtures = band_weights(3, 12)
    expected, best = naive(bands, responses, mixtures, np.logspace(-5, 5, 21))
    predicted, chosen = banded_ridge(*blocks(bands), responses[:N], mixtures, 21)
    np.testing.assert_array_equal(chosen[0], best)
    np.testing.assert_allclose(predicted[0], expected, rtol=1e-6, atol=1e-8)
    assert len(set(best)) > 1


def test_equals_himalaya():
    reason = "himalaya is not installed; it is the reference for banded ridge"
    himalaya = pytest.importorskip("himalaya.kernel_ridge", reason=reason)
    from sklearn.model_selection import KFold

    bands, responses = problem(1)
    mixtures = band_weights(3, 6)
    # Uncentred kernels, to which himalaya fits an intercept anew in each of its folds.
    kernels = np.stack([band @ band.T for band in normalised(bands)])
    with np.errstate(divide="ignore"):  # it takes the logarithm of weights that are 0
        weights, dual, _, intercept = himalaya.solve_multiple_kernel_ridge_random_search(
            kernels[:, :N, :N],
            responses[:N],
            n_iter=mixtures,
            alphas=np.logspace(-5, 5, 11),
            cv=KFold(N),
            fit_intercept=True,
            return_weights="dual",
            progress_bar=False,
        )
    expected = np.einsum("bu,btn,nu->tu", np.exp(weights), kernels[:, N:, :N], dual) + intercept
    predicted, chosen = banded_ridge(*blocks(bands), responses[:N], mixtures, 11)
    np.testing.assert_allclose(predicted[0], expected, rtol=1e-6, atol=1e-7)
    shares = np.exp(weights) / np.exp(weights).sum(axis=0)
    np.testing.assert_allclose(mixtures[chosen[0]].T, shares, atol=1e-8)


@pytest.mark.parametrize("band", range(3))
def test_one_band_is_ridge(band):
    bands, responses = problem()
    train_grams, cross_grams = blocks([bands[band]])
    expected = ridge(21).kernel(train_grams[0], cross_grams[0], responses[:N])
    predicted = ridge_banded(n_mixtures=4, n_alphas=21).kernel(train_grams, cross_grams, responses[:N])
    np.testing.assert_allclose(predicted, expected, rtol=1e-8)


def test_the_scale_of_a_band_does_not_matter():
    bands, responses = problem()
    once = ridge_banded(10).kernel(*blocks(bands), responses[:N])
    scaled = [band * scale for band, scale in zip(bands, (1e-6, 1e6, 1.0), strict=True)]
    np.testing.assert_allclose(ridge_banded(10).kernel(*blocks(scaled), responses[:N]), once, rtol=1e-6)


def test_a_band_that_does_not_vary_changes_nothing():
    bands, responses = problem(sizes=(4,))
    alone = ridge().kernel(*(grams[0] for grams in blocks(bands)), responses[:N])
    train_grams, cross_grams = blocks([*bands, np.ones((N + N_TEST, 3))])
    assert not train_grams[1].any()
    joint, chosen = banded_ridge(train_grams, cross_grams, responses[:N], np.eye(2), 41)
    np.testing.assert_allclose(joint[0], alone, rtol=1e-8)
    assert not chosen.any()
    nothing = banded_ridge(np.zeros((2, N, N)), np.zeros((2, N_TEST, N)), responses[:N], band_weights(2, 3), 41)
    np.testing.assert_allclose(nothing[0][0], np.tile(responses[:N].mean(axis=0), (N_TEST, 1)), rtol=1e-12)


def test_models_may_be_kept_from_bands():
    bands, responses = problem(2)
    train_grams, cross_grams = blocks(bands)
    mixtures = np.vstack([band_weights(3, 5), [[0.3, 0.7, 0.0], [0.9, 0.1, 0.0]]])
    allowed = np.array([np.full(len(mixtures), True), mixtures[:, 2] == 0, mixtures[:, 0] == 1])
    predicted, chosen = banded_ridge(train_grams, cross_grams, responses[:N], mixtures, 11, allowed)
    for model, of_model in enumerate(allowed):
        alone, places = banded_ridge(train_grams, cross_grams, responses[:N], mixtures[of_model], 11)
        np.testing.assert_array_equal(predicted[model], alone[0])
        np.testing.assert_array_equal(chosen[model], np.flatnonzero(of_model)[places[0]])


def test_each_unit_finds_its_band_and_noise_does_not_drown_a_narrow_one():
    generator = np.random.default_rng(3)
    n, n_test = 120, 60
    narrow, wide = generator.normal(size=(n + n_test, 3)), 10 * generator.normal(size=(n + n_test, 2000))
    responses = np.column_stack(
        [narrow @ generator.normal(size=(3, 2)), wide @ generator.normal(size=(2000, 2))]
    )
    responses += 0.1 * responses.std(axis=0) * generator.normal(size=responses.shape)
    bands = [band - band[:n].mean(axis=0) for band in (narrow, wide)]
    train_grams = np.stack([band[:n] @ band[:n].T for band in bands])
    cross_grams = np.stack([band[n:] @ band[:n].T for band in bands])
    mixtures = band_weights(2, 20)
    predicted, chosen = banded_ridge(train_grams, cross_grams, responses[:n], mixtures, 41)
    assert (mixtures[chosen[0]][:2, 0] > 0.9).all()
    assert (mixtures[chosen[0]][2:, 1] > 0.9).all()
    least_squares = LinearRegression().fit(narrow[:n], responses[:n, :2]).predict(narrow[n:])
    together = ridge().kernel(train_grams.sum(axis=0), cross_grams.sum(axis=0), responses[:n])

    def mean_correlation(values):
        return np.mean([np.corrcoef(values[:, unit], responses[n:, unit])[0, 1] for unit in range(2)])

    assert mean_correlation(predicted[0]) == pytest.approx(mean_correlation(least_squares), abs=0.01)
    assert mean_correlation(together) < 0.5


@pytest.mark.parametrize("n_bands", [1, 2, 7])
def test_band_weights_are_a_fixed_set_on_the_simplex(n_bands):
    weights = band_weights(n_bands, 40)
    assert len(weights) == (n_bands + 41 if n_bands > 1 else 1)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(weights[:n_bands], np.eye(n_bands))
    np.testing.assert_array_equal(weights, band_weights(n_bands, 40))
    if n_bands > 1:
        np.testing.assert_array_equal(weights[n_bands], np.full(n_bands, 1 / n_bands))
        np.testing.assert_array_equal(weights[: n_bands + 11], band_weights(n_bands, 10))
        drawn = weights[n_bands + 1 :]
        # Every other draw lies near the edges.
        assert np.median(drawn[1::2].max(axis=1)) > np.median(drawn[::2].max(axis=1)) + 0.1


def test_does_not_change_what_it_is_given():
    bands, responses = problem()
    given = [*blocks(bands), responses[:N], band_weights(3, 4)]
    copies = [array.copy() for array in given]
    banded_ridge(*given, 5)
    for array, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_penalties_are_relative_to_the_mixed_matrix():
    bands, _ = problem()
    train_grams, _ = blocks(normalised(bands))
    mixed = np.tensordot([0.2, 0.5, 0.3], train_grams, axes=1)
    np.testing.assert_allclose(relative_alphas(mixed, 21), np.logspace(-5, 5, 21), rtol=1e-10)
