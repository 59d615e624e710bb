"""Weights of layers' RDMs: against scipy, rsatoolbox, and weights that are known."""

import numpy as np
import pytest
from rsatoolbox.model import ModelWeighted
from rsatoolbox.model.fitter import fit_optimize_positive, fit_regress_nn
from rsatoolbox.rdm import RDMs, compare
from scipy.optimize import nnls
from scipy.spatial.distance import pdist

from brainalign.errors import UnknownNameError
from brainalign.metrics.rdm import rdm_from_features
from brainalign.metrics.weighted_rsa import WeightedRdmKernel, layer_weights, rsa_weighted

N = 20


def layer_rdms(n_layers=4, seed=0, n=N):
    """RDMs of layers that share some of their features, of very different sizes."""
    generator = np.random.default_rng(seed)
    shared = generator.normal(size=(n, 5))
    layers = [np.hstack([shared, generator.normal(size=(n, 6))]) * 10.0**k for k in range(n_layers)]
    return np.stack([rdm_from_features(layer, "squared_euclidean") for layer in layers])


def noisy(rdms, weights, n_subjects=1, noise=0.5, seed=1):
    together = np.asarray(weights) @ rdms
    shape = (n_subjects, rdms.shape[1])
    return together + noise * together.std() * np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_weights_are_those_of_nnls_on_the_naive_design(seed, centred):
    rdms = layer_rdms(5, seed)
    targets = noisy(rdms, [1.0, 0.2, 0.0, 0.0, 1e-8], 3, seed=seed) + 7.0 * centred
    constant = np.ones(rdms.shape[1])
    # A constant of either sign is two columns that may not be negative.
    design = np.column_stack([*rdms, constant, -constant] if centred else [*rdms])
    scale = np.linalg.norm(design, axis=0)
    expected = [nnls(design / scale, target)[0][:5] / scale[:5] for target in targets]
    found = layer_weights(rdms, targets, centred)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-14)
    assert (found == 0).any() and (found > 0).any()


@pytest.mark.parametrize("method", ["corr", "cosine"])
def test_weights_are_rsatoolboxs(method):
    # Of this size, since their loop never ends where rounding exceeds a fixed 2e-14.
    rdms = layer_rdms() / np.linalg.norm(layer_rdms(), axis=1, keepdims=True) / 100
    subjects = noisy(rdms, [1.0, 0.2, 0.0, 0.4], 3)
    expected = fit_regress_nn(ModelWeighted("layers", RDMs(rdms)), RDMs(subjects[1:]), method=method)
    compare_by = {"corr": "pearson", "cosine": "cosine"}[method]
    # The first subject is weighted by the other two.
    found = WeightedRdmKernel("squared_euclidean", compare_by).weights(rdms, subjects)[0]
    np.testing.assert_allclose(found / np.linalg.norm(found), expected, atol=1e-6)


@pytest.mark.parametrize("method", ["corr", "cosine"])
def test_no_optimiser_finds_better_weights(method):
    rdms = layer_rdms() / layer_rdms().std(axis=1, keepdims=True)
    subject = noisy(rdms, [1.0, 0.2, 0.0, 0.4])
    model = ModelWeighted("layers", RDMs(rdms))
    theirs = fit_optimize_positive(model, RDMs(subject), method=method) @ rdms
    ours = layer_weights(rdms, subject, centred=method == "corr") @ rdms
    likeness = [compare(RDMs(x.reshape(1, -1)), RDMs(subject), method)[0, 0] for x in (ours, theirs)]
    assert likeness[0] >= likeness[1] - 1e-9
    assert likeness[0] == pytest.approx(likeness[1], abs=1e-3)


def test_true_weights_are_recovered_and_those_of_noise_are_nothing():
    rdms = layer_rdms(6, n=60)
    truth = np.array([2.0, 0.01, 0.0, 0.0, 3e-8, 0.0])
    np.testing.assert_allclose(
        layer_weights(rdms, (truth @ rdms + 40.0)[None])[0], truth, rtol=1e-6, atol=1e-16
    )
    size = rdms.std(axis=1)
    shares = layer_weights(rdms, noisy(rdms, truth, noise=0.3))[0] * size / (truth * size).sum()
    np.testing.assert_allclose(shares, truth * size / (truth * size).sum(), atol=0.05)


def test_weighted_squared_distances_are_those_of_stretched_features():
    generator = np.random.default_rng(3)
    first, second = generator.normal(size=(N, 4)), generator.normal(size=(N, 9))
    together = np.hstack([np.sqrt(0.7) * first, np.sqrt(2.5) * second])
    rdms = np.stack([pdist(x, "sqeuclidean") for x in (first, second)])
    np.testing.assert_allclose(
        layer_weights(rdms, pdist(together, "sqeuclidean")[None], centred=False), [[0.7, 2.5]], rtol=1e-10
    )


@pytest.mark.parametrize("centred", [True, False])
def test_a_layer_alone_has_always_a_positive_weight(centred):
    rdms = layer_rdms(1)
    for target in (rdms, 3.0 - 5 * rdms, np.random.default_rng(0).normal(size=rdms.shape)):
        assert layer_weights(rdms, target, centred) > 0


def test_of_layers_that_are_all_unlike_the_least_unlike_has_all_the_weight():
    rdms = layer_rdms(3)
    target = -rdms.sum(axis=0) / rdms.sum(axis=0).std() - 3 * rdms[2] / rdms[2].std() - rdms[0] / rdms[0].std()
    correlations = [np.corrcoef(rdm, target)[0, 1] for rdm in rdms]
    assert max(correlations) < 0
    weights = layer_weights(rdms, target[None])[0]
    assert np.flatnonzero(weights).tolist() == [int(np.argmax(correlations))]


def test_a_layer_that_orders_nothing_has_no_weight():
    rdms = layer_rdms(3)
    flat = np.insert(rdms, 1, 1e9 / 3, axis=0)
    target = noisy(rdms, [1.0, 1.0, 0.0])
    np.testing.assert_allclose(layer_weights(flat, target)[:, [0, 2, 3]], layer_weights(rdms, target))
    assert layer_weights(flat, target)[0, 1] == 0
    assert not layer_weights(np.ones((2, 45)), np.arange(45.0)[None]).any()


def test_tiny_layers_are_not_taken_for_rounding():
    rdms = layer_rdms(2)
    tiny = rdms * np.array([[1e-20], [1.0]])
    target = noisy(rdms, [1.0, 0.01])
    np.testing.assert_allclose(
        layer_weights(tiny, target) * [1e-20, 1.0], layer_weights(rdms, target), rtol=1e-9
    )


def test_layers_that_coincide_share_what_one_of_them_would_predict():
    rdms = layer_rdms(2)
    target = noisy(rdms, [1.0, 0.03])
    twice = np.repeat(rdms, 3, axis=0)
    np.testing.assert_allclose(
        layer_weights(twice, target) @ twice, layer_weights(rdms, target) @ rdms, rtol=1e-9
    )


def test_a_subject_has_no_say_in_its_own_weights():
    rdms, kernel = layer_rdms(), WeightedRdmKernel("squared_euclidean", "spearman")
    subjects = noisy(rdms, [1.0, 0.1, 0.01, 0.0], 4)
    changed = subjects.copy()
    changed[2] = np.random.default_rng(5).gamma(2.0, size=changed.shape[1])
    before, after = kernel.weights(rdms, subjects), kernel.weights(rdms, changed)
    np.testing.assert_allclose(after[2], before[2], rtol=1e-10)
    assert (np.abs(after - before).max(axis=1) > 1e-4)[[0, 1, 3]].all()


def test_subjects_count_alike_whatever_their_scale():
    rdms, kernel = layer_rdms(), WeightedRdmKernel("squared_euclidean", "pearson")
    subjects = noisy(rdms, [1.0, 0.1, 0.01, 0.0], 3)
    rescaled = subjects * np.array([[1.0], [50.0], [1e-3]]) + np.array([[0.0], [9.0], [1.0]])
    np.testing.assert_allclose(
        kernel.weights(rdms, rescaled), kernel.weights(rdms, subjects), rtol=1e-8, atol=1e-15
    )


def test_a_subject_who_answers_all_pairs_alike_is_not_heard():
    rdms, kernel = layer_rdms(), WeightedRdmKernel("squared_euclidean", "pearson")
    subjects = noisy(rdms, [1.0, 0.1, 0.01, 0.0], 3)
    flat = np.vstack([subjects[:2], np.ones_like(subjects[:1])])
    found = kernel.weights(rdms, flat)[0]
    expected = kernel.weights(rdms, subjects[:2])[0]
    np.testing.assert_allclose(found / found.sum(), expected / expected.sum(), rtol=1e-8)
    assert np.isfinite(kernel.weights(rdms, np.ones((1, rdms.shape[1])))).all()


def test_the_arrays_given_stay_as_they_are():
    rdms = layer_rdms()
    targets = noisy(rdms, [1.0, 0.1, 0.0, 0.0])
    copies = rdms.copy(), targets.copy()
    layer_weights(rdms, targets)
    np.testing.assert_array_equal(rdms, copies[0])
    np.testing.assert_array_equal(targets, copies[1])


def test_distances_that_do_not_add_are_refused():
    with pytest.raises(UnknownNameError, match="squared distance, which adds.*'euclidean'.*squared_euclidean"):
        rsa_weighted(rdm="euclidean")


def test_whitened_comparators_are_refused():
    with pytest.raises(UnknownNameError, match="counts all pairs alike.*'corr_cov'.*spearman"):
        rsa_weighted(compare="corr_cov")
