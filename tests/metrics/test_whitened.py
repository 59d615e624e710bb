"""Whitening of RDMs against rsatoolbox, and against their covariance written down or simulated."""

import numpy as np
import pytest
import rsatoolbox
from rsatoolbox.rdm.compare import _get_v
from scipy.spatial.distance import pdist

from brainalign.errors import ResponsesError
from brainalign.metrics.cka import cka
from brainalign.metrics.comparators import COMPARATORS
from brainalign.metrics.whitened import whiten

N = 12
WHITENED = ["cosine_cov", "corr_cov"]


def rdms(n_rdms: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2, size=(n_rdms, N * (N - 1) // 2))


def covariance(seed: int = 3) -> np.ndarray:
    mixing = np.random.default_rng(seed).normal(size=(N, 2 * N))
    return mixing @ mixing.T


def by_inverse(x: np.ndarray, y: np.ndarray, name: str, sigma: np.ndarray) -> np.ndarray:
    """Cosines by rsatoolbox's V, inverted; its own conjugate gradients stop after five digits."""
    inverse = np.linalg.inv(_get_v(N, sigma).toarray())
    if name == "corr_cov":
        x, y = (rdm - rdm.mean(axis=1, keepdims=True) for rdm in (x, y))
    lengths = [np.sqrt(np.einsum("ri,ij,rj->r", rdm, inverse, rdm)) for rdm in (x, y)]
    return x @ inverse @ y.T / np.outer(*lengths)


@pytest.mark.parametrize("name", WHITENED)
def test_equals_rsatoolbox(name):
    x, y = rdms(1), rdms(4, 1)
    expected = rsatoolbox.rdm.compare(rsatoolbox.rdm.RDMs(x), rsatoolbox.rdm.RDMs(y), method=name)[0]
    np.testing.assert_allclose(COMPARATORS[name].compare(x[0], y), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(by_inverse(x, y, name, np.eye(N))[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("name", WHITENED)
def test_equals_rsatoolbox_of_a_given_covariance(name, diagonal):
    x, y, sigma = rdms(1), rdms(4, 1), covariance()
    sigma = np.diag(np.diagonal(sigma)) if diagonal else sigma
    found = COMPARATORS[name].compare(x[0], y, sigma)
    np.testing.assert_allclose(found, by_inverse(x, y, name, sigma)[0], rtol=0, atol=1e-10)
    objects = [rsatoolbox.rdm.RDMs(rdm) for rdm in (x, y)]
    solved = rsatoolbox.rdm.compare(*objects, method=name, sigma_k=sigma)[0]
    np.testing.assert_allclose(found, solved, rtol=0, atol=1e-4)
    assert np.abs(found - COMPARATORS[name].compare(x[0], y)).max() > 0.01


def test_rsatoolbox_contradicts_itself_where_variances_are_a_vector():
    # It takes the plain mean over stimuli where V demands the one weighted by precision. Ours is V's.
    x, y, variances = rdms(1), rdms(4, 1), np.random.default_rng(2).gamma(2, size=N)
    objects = [rsatoolbox.rdm.RDMs(rdm) for rdm in (x, y)]
    as_vector, as_matrix = (
        rsatoolbox.rdm.compare(*objects, method="cosine_cov", sigma_k=sigma)[0]
        for sigma in (variances, np.diag(variances))
    )
    ours = COMPARATORS["cosine_cov"].compare(x[0], y, np.diag(variances))
    assert np.abs(as_vector - as_matrix).max() > 0.01
    np.testing.assert_allclose(ours, as_matrix, rtol=0, atol=1e-4)


def test_cosine_of_squared_euclidean_distances_is_linear_cka():
    generator = np.random.default_rng(4)
    x, y = generator.normal(size=(N, 5)), generator.normal(size=(N, 8))
    squared = [pdist(each, "sqeuclidean") for each in (x, y)]
    value = COMPARATORS["cosine_cov"].compare(squared[0], squared[1][None])[0]
    assert value == pytest.approx(cka(x @ x.T, y @ y.T, debiased=False), abs=1e-12)


def test_whitened_dissimilarities_of_noise_are_white():
    generator = np.random.default_rng(5)
    sigma = covariance()[:5, :5]
    root = np.linalg.cholesky(sigma)
    noise = [root @ generator.normal(size=(5, 40)) for _ in range(4000)]
    white = whiten(np.stack([pdist(x, "sqeuclidean") for x in noise]), sigma)
    spectrum = np.linalg.eigvalsh(np.cov(white.T))[::-1]
    # Ten dissimilarities have ten dimensions, of one variance; the other entries follow from them.
    assert spectrum[0] < 1.25 * spectrum[9] and spectrum[10] < 1e-10 * spectrum[9]
    plain = np.linalg.eigvalsh(np.cov(np.stack([pdist(x, "sqeuclidean") for x in noise]).T))
    assert plain[-1] > 5 * plain[0]


@pytest.mark.parametrize("name", WHITENED)
def test_scale_of_the_covariance_does_not_matter(name):
    x, y, sigma = rdms(1)[0], rdms(2, 1), covariance()
    compare = COMPARATORS[name].compare
    np.testing.assert_allclose(compare(x, y, 1e6 * sigma), compare(x, y, sigma), rtol=1e-9)
    np.testing.assert_allclose(compare(x, y, 3.0 * np.eye(N)), compare(x, y), rtol=1e-12)


def test_rdms_may_be_negative_in_part():
    # Unbiased distances of equal patterns are.
    x = rdms(1)[0] - 1.0
    for name in WHITENED:
        compare = COMPARATORS[name].compare
        np.testing.assert_allclose(compare(x, np.stack([x, -x])), [1.0, -1.0], atol=1e-12)


@pytest.mark.parametrize(
    ("sigma", "message"),
    [
        (np.eye(N - 1), r"shape \(11, 11\) was given for RDMs of 12 stimuli"),
        (np.ones((N, N)), "not positive definite; shrink it first"),
    ],
)
def test_a_covariance_that_cannot_be_used_raises(sigma, message):
    with pytest.raises(ResponsesError, match=message):
        whiten(rdms(2), sigma)
