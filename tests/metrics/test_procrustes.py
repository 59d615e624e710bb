"""Procrustes similarity and distances against scipy and netrep's formulas in feature space; first order."""

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
from hypothesis import given
from hypothesis import strategies as st

from brainalign.compare.resampling import Resamples
from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics.gram_kernel import check_sides
from brainalign.metrics.jackknife import PairJackknife
from brainalign.metrics.procrustes import (
    ProcrustesKernel,
    procrustes,
    procrustes_distance,
    procrustes_similarity,
)

ALPHAS = (1.0, 0.9, 0.5, 0.1, 0.0)


def pair(seed: int = 0, n: int = 30, p: int = 8, q: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Features, and responses that partly follow from them; both off centre."""
    generator = np.random.default_rng(seed)
    x = generator.normal(3.0, 1.0, (n, p)) * np.linspace(1, 3, p)
    y = np.tanh(x @ generator.normal(size=(p, q)) / p) + 0.3 * generator.normal(size=(n, q)) - 2.0
    return x, y


def gram(x: np.ndarray) -> np.ndarray:
    return x @ x.T


def netrep(
    x: np.ndarray, y: np.ndarray, alpha: float, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """Angular and Euclidean distance as netrep's ``LinearMetric`` has them, step by step on features.

    Centre, whiten by the eigenvectors of XᵀX, keep the total variance, pad with zeros, rotate, compare.
    """
    weights = np.ones(len(x)) if weights is None else weights
    padded = []
    for each in (x, y):
        centred = np.sqrt(weights)[:, None] * (each - weights @ each / weights.sum())
        eigenvalues, axes = np.linalg.eigh(centred.T @ centred)
        eigenvalues = np.maximum(eigenvalues, 1e-7)
        whitened = centred @ (axes * (alpha + (1 - alpha) / np.sqrt(eigenvalues))) @ axes.T
        whitened *= np.linalg.norm(centred) / np.linalg.norm(whitened)
        padded.append(np.pad(whitened, ((0, 0), (0, max(x.shape[1], y.shape[1]) - each.shape[1]))))
    a, b = padded
    u, _, vt = np.linalg.svd(a.T @ b)
    a, b = a @ u, b @ vt.T
    cosine = np.sum(a * b) / (np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.arccos(min(cosine, 1.0))), float(np.linalg.norm(a - b))


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(("n", "p", "q"), [(30, 8, 5), (30, 5, 9), (30, 1, 1), (200, 20, 40)])
def test_equals_netrep(alpha, n, p, q):
    x, y = pair(n=n, p=p, q=q)
    angle, distance = netrep(x, y, alpha)
    assert procrustes_similarity(gram(x), y, alpha) == pytest.approx(np.cos(angle), abs=1e-10)
    assert procrustes_distance(gram(x), gram(y), alpha) == pytest.approx(angle, abs=1e-8)
    assert procrustes_distance(gram(x), gram(y), alpha, "euclidean") == pytest.approx(distance, rel=1e-8)


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_more_units_than_stimuli(alpha):
    x, y = pair(n=20, p=120, q=50)
    angle, _ = netrep(x, y, alpha)
    assert procrustes_similarity(gram(x), y, alpha) == pytest.approx(np.cos(angle), abs=1e-8)


def test_equals_scipy_without_whitening():
    x, y = pair(p=6, q=6)
    xc, yc = x - x.mean(axis=0), y - y.mean(axis=0)
    value = procrustes_similarity(gram(x), y)
    _, _, disparity = scipy.spatial.procrustes(x, y)
    assert value == pytest.approx(np.sqrt(1 - disparity), abs=1e-10)
    rotation, scale = scipy.linalg.orthogonal_procrustes(xc, yc)
    assert value == pytest.approx(scale / np.linalg.norm(xc) / np.linalg.norm(yc), abs=1e-10)
    distance = procrustes_distance(gram(x), gram(y), kind="euclidean")
    assert distance == pytest.approx(np.linalg.norm(xc @ rotation - yc), rel=1e-10)


@pytest.mark.parametrize("kind", ["angular", "euclidean"])
@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.0])
@given(seed=st.integers(0, 10_000))
def test_distances_are_a_metric(kind, alpha, seed):
    generator = np.random.default_rng(seed)
    common = generator.normal(size=(16, 3))
    a, b, c = (gram(np.column_stack([common, generator.normal(size=(16, 1 + k))])) for k in range(3))
    ab, ba, bc, ac = (
        procrustes_distance(one, other, alpha, kind) for one, other in ((a, b), (b, a), (b, c), (a, c))
    )
    assert ab == pytest.approx(ba, abs=1e-8)
    assert ac <= ab + bc + 1e-9
    assert procrustes_distance(a, a, alpha, kind) == pytest.approx(0.0, abs=1e-5)


def test_whitened_altogether_is_the_sum_of_canonical_correlations():
    x, y = pair(p=7, q=4)
    mixed = x @ np.random.default_rng(3).normal(size=(7, 7))
    basis_x, basis_y = (np.linalg.qr(each - each.mean(axis=0))[0] for each in (x, y))
    correlations = np.linalg.svd(basis_x.T @ basis_y, compute_uv=False)
    assert procrustes_similarity(gram(x), y, 0.0) == pytest.approx(correlations.sum() / np.sqrt(28), abs=1e-10)
    assert procrustes_similarity(gram(mixed), y, 0.0) == pytest.approx(
        correlations.sum() / np.sqrt(28), abs=1e-8
    )


def test_rounding_of_float32_is_no_direction():
    x, y = pair(n=60, p=9)
    noisy = gram((x - x.mean(axis=0)).astype(np.float32)).astype(np.float64)
    for alpha in ALPHAS:
        value = procrustes_similarity(gram(x), y, alpha)
        assert procrustes_similarity(noisy, y, alpha) == pytest.approx(value, abs=1e-5)


def draw(n_resamples: int, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), n_resamples)


@pytest.mark.parametrize("alpha", ALPHAS[1:])
def test_resamples_are_the_derivative_by_the_weights_of_stimuli(alpha):
    x, y = pair(n=24)
    counts = draw(6, 24)
    found = ProcrustesKernel(alpha).resampler(y, counts)(gram(x))
    step = 1e-5
    for change, value in zip(counts - 1.0, found - procrustes_similarity(gram(x), y, alpha), strict=True):
        ahead, behind = (np.cos(netrep(x, y, alpha, 1 + sign * step * change)[0]) for sign in (1, -1))
        assert value == pytest.approx((ahead - behind) / (2 * step), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("n", "p", "q"), [(24, 8, 5), (25, 5, 8), (16, 40, 30), (50, 80, 50)])
def test_without_whitening_resamples_are_those_of_leaving_stimuli_out(n, p, q):
    x, y = pair(n=n, p=p, q=q)

    def without(stimuli):
        kept = np.setdiff1d(np.arange(n), stimuli)
        return procrustes_similarity(gram(x[kept]), y[kept])

    counts = draw(6, n)
    jackknife = PairJackknife(counts)
    expected = jackknife.replicates(
        np.array([without(np.flatnonzero(kept == 0)) for kept in jackknife.left_out])
    )
    found = ProcrustesKernel(1.0).resampler(y, counts)(gram(x + 5))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_stimulus_that_holds_all_variance_can_be_left_out():
    x, y = pair()
    alone = np.zeros((30, 2))
    alone[3] = 1.0
    for one, other in ((x, alone), (alone, y), (alone, alone)):
        assert np.isfinite(ProcrustesKernel(1.0).resampler(other, draw(3, 30))(gram(one))).all()


def test_standard_errors_are_the_spread_of_experiments():
    # Noise on both sides, where errors by derivatives were a quarter too large.
    n, generator = 100, np.random.default_rng(0)
    mixing = generator.normal(size=(3, 5, 15))
    resamples = Resamples.draw(400, n, 0, 0, of_pairs=True, jackknifed=True)
    values, variances = [], []
    for _ in range(300):
        latents = generator.normal(size=(n, 5))
        y, *layers = (latents @ each + 4 * generator.normal(size=(n, 15)) for each in mixing)
        resampled = ProcrustesKernel(1.0).resampler(y, resamples.stimuli)
        first, second = (resampled(gram(layer)) for layer in layers)
        values.append([procrustes_similarity(gram(layer), y) for layer in layers])
        variances.append([resamples.variance(each[None])[0] for each in (first, first - second)])
    first, second = np.transpose(values)
    spread = np.array([first.std(), (first - second).std()])
    np.testing.assert_allclose(np.sqrt(np.mean(variances, axis=0)), spread, rtol=0.1)


def test_resamples_of_any_total_are_shares():
    x, y = pair(n=24)
    kernel, counts = ProcrustesKernel(0.5), draw(4, 24)
    np.testing.assert_allclose(
        kernel.resampler(y, 3 * counts)(gram(x)), kernel.resampler(y, counts)(gram(x)), atol=1e-12
    )
    assert np.isnan(kernel.resampler(y, np.zeros((1, 24), dtype=np.int64))(gram(x))).all()


@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.0])
def test_with_many_stimuli_the_spread_is_the_naive_bootstraps(alpha):
    x, y = pair(n=600, p=3, q=2)
    naive = []
    for counts in draw(150, 600, 1):
        copies = np.repeat(np.arange(600), counts)
        naive.append(np.cos(netrep(x[copies], y[copies], alpha)[0]))
    spread = ProcrustesKernel(alpha).resampler(y, draw(2000, 600))(gram(x)).std()
    assert spread == pytest.approx(np.std(naive), rel=0.2)


@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.0])
def test_chance_is_the_mean_over_permutations(alpha):
    x, y = pair(n=20, p=6, q=3)
    generator = np.random.default_rng(11)
    values = [procrustes_similarity(gram(x), y[generator.permutation(20)], alpha) for _ in range(300)]
    error = np.std(values) * np.sqrt(1 / 300 + 1 / 1000)
    chance = ProcrustesKernel(alpha).chance(gram(x), y)
    assert abs(np.mean(values) - chance) < 3 * error
    assert chance == ProcrustesKernel(alpha).chance(gram(x), y)


@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("value", [0.0, 1e6 / 3])
def test_a_side_without_variance_has_no_value(alpha, value):
    x, y = pair()
    constant = np.full((30, 4), value)
    kernel = ProcrustesKernel(alpha)
    for one, other in ((x, constant), (constant, y)):
        assert np.isnan(kernel.value(gram(one), other))
        assert np.isnan(kernel.chance(gram(one), other))
        assert np.isnan(kernel.resampler(other, draw(3, 30))(gram(one))).all()
        assert kernel.note(gram(one), other) == "a side has no variance over the stimuli"
    assert np.isnan(procrustes_distance(gram(x), gram(constant), alpha))


def test_constant_units_among_others_change_nothing():
    x, y = pair()
    padded = np.column_stack([y, np.full(30, 1e6 / 3)])
    for alpha in ALPHAS:
        value = procrustes_similarity(gram(x), y, alpha)
        assert procrustes_similarity(gram(x), padded, alpha) == pytest.approx(value, abs=1e-8)


def test_as_many_dimensions_as_stimuli_are_refused_where_all_is_whitened():
    x, y = pair(n=20, p=16, q=4)
    whitened = ProcrustesKernel(0.0)
    assert np.isnan(whitened.value(gram(x), y))
    assert whitened.note(gram(x), y) == (
        "16 and 4 dimensions of 20 stimuli: canonical correlations are 1 for any data"
    )
    assert np.isfinite(whitened.value(gram(x[:, :15]), y)) and whitened.note(gram(x[:, :15]), y) == ""
    assert np.isfinite(ProcrustesKernel(0.5).value(gram(x), y)) and ProcrustesKernel(1.0).note(gram(x), y) == ""


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_outside_its_range_raises(alpha):
    x, y = pair()
    for call in (lambda: procrustes(alpha), lambda: procrustes_similarity(gram(x), y, alpha)):
        with pytest.raises(UnknownNameError, match="expected a number from 0 .whitened. to 1"):
            call()


def test_bad_input_raises():
    x, y = pair()
    for one, other in ((gram(x)[:3, :3], y[:3]), (gram(x), y[:, :0])):
        with pytest.raises(ResponsesError, match="give a square matrix and the responses of one unit or more"):
            procrustes_similarity(one, other)
    for one, other in ((gram(x), y[:-1]), (gram(x)[:, :-1], y), (gram(x)[:-1], y[:-1])):
        with pytest.raises(ResponsesError, match="Procrustes was asked for from a Gram matrix of shape"):
            check_sides("Procrustes", one, other)
    y[2, 1] = np.nan
    with pytest.raises(ResponsesError, match="NaN or infinite"):
        procrustes_similarity(gram(x), y)
    with pytest.raises(UnknownNameError, match="Did you mean 'euclidean'"):
        procrustes_distance(gram(x), gram(x), kind="euclidian")
