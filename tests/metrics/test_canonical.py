"""SVCCA and PWCCA against scikit-learn, a direct SVD and the papers' formulas; first order; their limits."""

import numpy as np
import pytest
import scipy.stats
from sklearn.cross_decomposition import CCA

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics import canonical_pairs as pairing
from brainalign.metrics.canonical import pwcca, pwcca_similarity, svcca, svcca_similarity
from brainalign.metrics.canonical_pairs import (
    bounded_inverse_gaps,
    canonical_pairs,
    influence_of_projections,
    sampling_spread,
)

SHARES = (1.0, 0.99, 0.9, 0.6)
METRICS = (svcca, pwcca)


def pair(seed: int = 0, n: int = 60, p: int = 8, q: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Features, and responses that partly follow from them; both off centre."""
    generator = np.random.default_rng(seed)
    x = generator.normal(3.0, 1.0, (n, p)) * np.linspace(1, 3, p)
    y = np.tanh(x @ generator.normal(size=(p, q)) / p) + 0.3 * generator.normal(size=(n, q)) - 2.0
    return x, y


def gram(x: np.ndarray) -> np.ndarray:
    return x @ x.T


def draw(n_resamples: int, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), n_resamples)


def truncated(x: np.ndarray, share: float) -> np.ndarray:
    """Scores of the fewest principal components that hold a share of the variance."""
    centred = x - x.mean(axis=0)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    held = np.cumsum(lengths**2) / np.sum(lengths**2)
    return centred @ axes[: int(np.sum(held < share - 1e-12)) + 1].T


def whitener(x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    eigenvalues, axes = np.linalg.eigh(x.T @ x if weights is None else x.T @ (weights[:, None] * x))
    return axes / np.sqrt(eigenvalues) @ axes.T


def naive(x: np.ndarray, y: np.ndarray, share: float) -> tuple[float, float]:
    """Mean of the canonical correlations, and their projection-weighted mean, from covariances."""
    a, b = truncated(x, share), truncated(y, share)
    _, correlations, right = np.linalg.svd(whitener(a) @ a.T @ b @ whitener(b), full_matrices=False)
    directions = b @ whitener(b) @ right.T
    projections = np.abs(directions.T @ (y - y.mean(axis=0))).sum(axis=1)
    return float(correlations.mean()), float(projections @ correlations / projections.sum())


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("n", "p", "q"), [(60, 8, 5), (60, 5, 9), (30, 1, 1), (200, 80, 40)])
def test_equals_the_naive_form_on_features(share, n, p, q):
    x, y = pair(n=n, p=p, q=q)
    mean, weighted = naive(x, y, share)
    assert svcca_similarity(gram(x), y, share) == pytest.approx(mean, abs=1e-9)
    assert pwcca_similarity(gram(x), y, share) == pytest.approx(weighted, abs=1e-9)


def test_equals_scikit_learn_without_truncation():
    x, y = pair(n=100, p=6, q=4)
    scores = CCA(n_components=4, max_iter=5000, tol=1e-12).fit_transform(x, y)
    correlations = [np.corrcoef(scores[0][:, k], scores[1][:, k])[0, 1] for k in range(4)]
    assert svcca_similarity(gram(x), y, 1.0) == pytest.approx(np.mean(correlations), abs=1e-6)


def test_truncation_leaves_out_what_carries_little_variance():
    x, y = pair()
    faint = np.column_stack([x, 1e-2 * np.random.default_rng(1).normal(size=(60, 20))])
    assert svcca_similarity(gram(faint), y, 0.99) == pytest.approx(svcca_similarity(gram(x), y, 0.99), abs=1e-3)
    assert svcca_similarity(gram(faint), y, 1.0) > svcca_similarity(gram(x), y, 1.0) + 0.05


def test_weights_follow_the_responses():
    # One direction, which the features hold, carries nearly all of the responses; the others they do not.
    x, _ = pair()
    y = np.random.default_rng(2).normal(size=(60, 4)) * [1.0, 1.0, 1.0, 0.0]
    y[:, 3] = 20 * (x[:, 0] - x[:, 0].mean())
    assert pwcca_similarity(gram(x), y, 1.0) > svcca_similarity(gram(x), y, 1.0) + 0.2


def weighted(x: np.ndarray, y: np.ndarray, weights: np.ndarray, axes: list[np.ndarray]) -> tuple[float, float]:
    """Both means with the stimuli weighted, in directions of the units that do not depend on the weights."""
    centred = [each - weights @ each / weights.sum() for each in (x, y)]
    a, b = (each @ axis for each, axis in zip(centred, axes, strict=True))
    cross = whitener(a, weights) @ a.T @ (weights[:, None] * b) @ whitener(b, weights)
    _, correlations, right = np.linalg.svd(cross, full_matrices=False)
    directions = b @ whitener(b, weights) @ right.T
    projections = np.abs(directions.T @ (weights[:, None] * centred[1])).sum(axis=1)
    return float(correlations.mean()), float(projections @ correlations / projections.sum())


def test_svcca_resamples_are_the_derivative_by_the_weights_of_stimuli(monkeypatch):
    monkeypatch.setattr(pairing, "noise_share", lambda correlations, *_: np.zeros_like(correlations))
    x, y = pair()
    axes = [np.eye(each.shape[1]) for each in (x, y)]
    counts = np.full((3, 60), 1000) + draw(3, 60)
    found = svcca(1.0).kernel.resampler(y, counts)(gram(x)) - svcca_similarity(gram(x), y, 1.0)
    step = 1e-5
    for row, value in zip(counts, found, strict=True):
        change = row * 60 / row.sum() - 1
        ahead, behind = (weighted(x, y, 1 + sign * step * 1e3 * change, axes)[0] for sign in (1, -1))
        assert value == pytest.approx((ahead - behind) / (2e3 * step), rel=1e-5, abs=1e-10)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("p", "q"), [(4, 4), (8, 4), (4, 8)])
def test_pwcca_is_differentiated_by_the_weights_of_stimuli_where_there_is_next_to_no_noise(p, q, seed):
    generator, m = np.random.default_rng(seed), min(p, q)
    x, y = (generator.normal(size=(5000, size)) for size in (p, q))
    y[:, :4] = x[:, :4] + y[:, :4] * [0.2, 0.6, 1.0, 1.7]
    y = y @ generator.normal(size=(q, q))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    pairs = canonical_pairs(*(np.linalg.svd(each, full_matrices=False)[0] for each in (x, y)), (p, q))
    assert pairs.correlations.shape == (m,)
    u, v, correlations = pairs.u, pairs.v, pairs.correlations
    projections = np.abs(v.T @ y).sum(axis=1)
    influence = (u * v - correlations * (u**2 + v**2) / 2) @ projections
    influence = (influence + influence_of_projections(pairs, y)) / projections.sum()
    # Weights that make directions turn.
    change = np.tanh(x @ generator.normal(size=p)) * np.tanh(y @ generator.normal(size=q))
    ahead, behind = (weighted(x, y, 1 + sign * 1e-3 * change, [np.eye(p), np.eye(q)])[1] for sign in (1, -1))
    assert influence @ change == pytest.approx((ahead - behind) / 2e-3, rel=0.02, abs=1e-4)


@pytest.mark.parametrize(("first", "second"), [(0.8, 0.5), (0.6, 0.599), (0.3, 0.0), (0.95, 0.9)])
def test_gaps_of_squared_correlations_are_as_uncertain_as_directions_turn_in_gaussian_data(first, second):
    generator, n, draws = np.random.default_rng(3), 100, 4000
    r, s = first, second
    v_k, v_l, noise_k, noise_l = generator.normal(size=(4, draws, n))
    u_k, u_l = (r * v_k + np.sqrt(1 - r**2) * noise_k, s * v_l + np.sqrt(1 - s**2) * noise_l)
    turn = r * u_k * v_l + s * u_l * v_k - r * s * u_k * u_l - (r**2 + s**2) / 2 * v_k * v_l
    inverse = bounded_inverse_gaps(np.array([first]), np.array([second]), n)[0, 0]
    gap = first**2 - second**2
    assert gap / inverse - gap**2 == pytest.approx(turn.mean(axis=1).var(), rel=0.1)


@pytest.mark.parametrize(("p", "n"), [(10, 2000), (20, 2000), (40, 200), (74, 200), (120, 200)])
def test_correlations_of_noise_spread_as_multiple_correlations_do(p, n):
    squares = scipy.stats.beta(p / 2, (n - 1 - p) / 2)
    mean, square = squares.expect(np.sqrt), squares.mean()
    first_order = (1 - square) ** 2 / n
    share = sampling_spread(np.array([np.sqrt(square)]), p, n)[0] ** 2
    assert share * first_order == pytest.approx(square - mean**2, rel=0.05)


def test_correlations_of_signal_and_noise_spread_as_lengths_of_vectors_do():
    # A Gaussian vector of p dimensions, one of them with a signal: to first order its length has variance 1.
    p, n = 30, 10**7
    for signal in (0.0, 3.0, 6.0, 20.0):
        length = scipy.stats.ncx2(p, signal**2)
        spread = length.mean() - length.expect(np.sqrt, epsrel=1e-10) ** 2
        correlation = np.sqrt(length.mean() / n)
        assert sampling_spread(np.array([correlation]), p, n)[0] ** 2 == pytest.approx(spread, rel=0.03)


@pytest.mark.parametrize("signal", [0.0, 1.5])
def test_standard_error_is_the_spread_over_experiments_with_many_directions_of_noise(signal):
    counts, values, errors = draw(400, 100), [], []
    for trial in range(300):
        generator = np.random.default_rng([9, trial])
        shared = signal * generator.normal(size=(100, 2))
        x, y = (generator.normal(size=(100, p)) for p in (16, 6))
        x[:, :2] += shared
        y[:, :2] += shared
        values.append(svcca_similarity(gram(x), y, 1.0))
        errors.append(svcca(1.0).kernel.resampler(y, counts)(gram(x)).std())
    # Were noise to vary as the derivative says, it would be 1.29 times as much.
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(values), rel=0.12)


def test_layers_of_noise_do_not_vary_together():
    # A few stimuli drive the region far more than others, so that its directions reach them farthest.
    counts, values, errors, both = draw(400, 200), [], [], []
    for trial in range(150):
        generator = np.random.default_rng([10, trial])
        y = generator.normal(size=(200, 20)) * generator.gamma(1.0, size=(200, 1))
        layers = [gram(generator.normal(size=(200, 40))) for _ in range(2)]
        resampled = svcca(1.0).kernel.resampler(y, counts)
        replicates = np.array([resampled(layer) for layer in layers])
        values.append([svcca_similarity(layer, y, 1.0) for layer in layers])
        errors.append(replicates.std(axis=1))
        both.append(np.corrcoef(replicates)[0, 1])
    assert np.corrcoef(np.transpose(values))[0, 1] == pytest.approx(0, abs=0.2)
    # Were noise to vary with leverage, it would be 0.74, and the standard error 1.9 times as much.
    assert np.mean(both) < 0.3
    assert 0.9 < np.sqrt(np.mean(np.square(errors))) / np.std(values) < 1.2


@pytest.mark.parametrize(
    ("p", "q", "noise", "widest"),
    [
        # Many directions of noise: did they turn as those of signal, it would be 1.2 times as much.
        (40, 10, np.linspace(0.3, 2, 6), 1.12),
        # All correlations alike: were their gaps not bounded, 1.2 times.
        (6, 6, np.full(6, 0.7), 1.1),
        # Directions of the region without a partner: safe.
        (10, 40, np.linspace(0.3, 2, 6), 1.25),
    ],
)
def test_standard_error_of_pwcca_is_the_spread_over_experiments(p, q, noise, widest):
    mixing, counts = np.random.default_rng(1).normal(size=(q, q)), draw(400, 200)
    values, errors = [], []
    for trial in range(150):
        generator = np.random.default_rng([trial, p, q, 200])
        x, y = (generator.normal(size=(200, size)) for size in (p, q))
        y[:, :6] = x[:, :6] + y[:, :6] * noise
        values.append(pwcca_similarity(gram(x), y @ mixing, 1.0))
        errors.append(pwcca(1.0).kernel.resampler(y @ mixing, counts)(gram(x)).std())
    assert 0.9 < np.sqrt(np.mean(np.square(errors))) / np.std(values) < widest


@pytest.mark.parametrize("metric", METRICS)
def test_with_many_stimuli_the_spread_is_the_naive_bootstraps(metric):
    # Well apart, the canonical directions are the same in every resample.
    generator, which = np.random.default_rng(7), METRICS.index(metric)
    x = generator.normal(size=(600, 4))
    y = x[:, :3] + generator.normal(size=(600, 3)) * [0.3, 0.8, 1.5]
    naively = [
        naive(x[copies], y[copies], 1.0)[which]
        for copies in (np.repeat(np.arange(600), counts) for counts in draw(150, 600, 1))
    ]
    spread = metric(1.0).kernel.resampler(y, draw(2000, 600))(gram(x)).std()
    assert spread == pytest.approx(np.std(naively), rel=0.2)


def test_number_of_directions_is_chosen_anew_in_each_resample():
    # Two axes hold 80 % of the responses, nearly: in some resamples it takes a third.
    generator = np.random.default_rng(4)
    x, y = generator.normal(size=(60, 4)), generator.normal(size=(60, 3)) * [2.0, 1.0, 1.0]
    y[:, :2] += 3 * x[:, :2]
    shares = [naive(x, y, share)[0] for share in (0.8, 1.0)]
    lengths = np.linalg.svd(y - y.mean(axis=0), compute_uv=False) ** 2
    share = float(lengths[:2].sum() / lengths.sum()) - 1e-3
    values = svcca(share).kernel.resampler(y, draw(400, 60))(gram(x))
    both = [np.abs(values - svcca_similarity(gram(x), y, each)) for each in (share, share + 2e-3)]
    assert shares[0] != shares[1]
    assert (both[0] < both[1]).any() and (both[1] < both[0]).any()
    assert values.std() > svcca(0.5).kernel.resampler(y, draw(400, 60))(gram(x)).std()


@pytest.mark.parametrize("metric", METRICS)
def test_chance_is_the_mean_over_permutations(metric):
    x, y = pair(n=30, p=6, q=3)
    kernel, generator = metric(0.99).kernel, np.random.default_rng(11)
    values = [kernel.value(gram(x), y[generator.permutation(30)]) for _ in range(300)]
    assert abs(np.mean(values) - kernel.chance(gram(x), y)) < 3 * np.std(values) * np.sqrt(1 / 300 + 1 / 1000)


def test_note_gives_what_unrelated_data_come_to():
    generator = np.random.default_rng(5)
    x, y = generator.normal(size=(60, 25)), generator.normal(size=(60, 4))
    note = svcca(1.0).kernel.note(gram(x), y)
    assert note == "25 and 4 dimensions of 60 stimuli: unrelated data would correlate at 0.65"
    squares = [
        np.linalg.svd(np.linalg.qr(x - x.mean(axis=0))[0].T @ np.linalg.qr(z - z.mean(axis=0))[0])[1] ** 2
        for z in (generator.normal(size=(60, 4)) for _ in range(300))
    ]
    assert np.sqrt(np.mean(squares)) == pytest.approx(0.65, abs=0.01)
    assert svcca(1.0).kernel.note(gram(x[:, :10]), y) == ""


@pytest.mark.parametrize("metric", METRICS)
def test_as_many_directions_as_stimuli_have_no_value(metric):
    generator = np.random.default_rng(6)
    x, y = generator.normal(size=(30, 200)), generator.normal(size=(30, 5))
    kernel = metric(1.0).kernel
    assert np.isnan(kernel.value(gram(x), y)) and np.isnan(kernel.chance(gram(x), y))
    assert np.isnan(kernel.resampler(y, draw(3, 30))(gram(x))).all()
    assert kernel.note(gram(x), y) == (
        "29 and 5 dimensions of 30 stimuli: canonical correlations are 1 for any data; "
        "keep a lower share of the variance"
    )
    assert np.isfinite(metric(0.5).kernel.value(gram(x), y))


@pytest.mark.parametrize("metric", METRICS)
def test_a_side_without_variance_has_no_value(metric):
    x, y = pair()
    constant, kernel = np.full((60, 3), 1e6 / 3), metric().kernel
    for one, other in ((x, constant), (constant, y)):
        assert np.isnan(kernel.value(gram(one), other))
        assert np.isnan(kernel.resampler(other, draw(3, 60))(gram(one))).all()
        assert kernel.note(gram(one), other) == "a side has no variance over the stimuli"
    padded = np.column_stack([y, np.full(60, 1e6 / 3)])
    assert kernel.value(gram(x), padded) == pytest.approx(kernel.value(gram(x), y), abs=1e-8)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("variance", [0.0, -0.5, 1.5, float("nan")])
def test_a_share_outside_its_range_raises(metric, variance):
    x, y = pair()
    for call in (lambda: metric(variance), lambda: svcca_similarity(gram(x), y, variance)):
        with pytest.raises(UnknownNameError, match="expected a share above 0 and at most 1"):
            call()


@pytest.mark.parametrize("similarity", [svcca_similarity, pwcca_similarity])
def test_bad_input_raises(similarity):
    x, y = pair()
    for one, other in ((gram(x)[:3, :3], y[:3]), (gram(x), y[:, :0])):
        with pytest.raises(ResponsesError, match="give a square matrix and the responses of one unit or more"):
            similarity(one, other)
    x[3, 1] = np.inf
    with pytest.raises(ResponsesError, match="NaN or infinite"), np.errstate(invalid="ignore"):
        similarity(gram(x), y)
