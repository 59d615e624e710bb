"""Leading principal axes: how their turning changes canonical correlations, against weighted decompositions."""

import numpy as np
import pytest

from brainalign.metrics.canonical import svcca, svcca_similarity
from brainalign.metrics.canonical_pairs import canonical_pairs
from brainalign.metrics.gram_kernel import region_axes
from brainalign.metrics.leading_axes import PrincipalAxes, turning_rates


def weighted_correlations(
    x: np.ndarray, y: np.ndarray, counts: tuple[int, int], weights: np.ndarray
) -> np.ndarray:
    """Canonical correlations of all stimuli on the leading principal axes of weighted ones."""
    scores = []
    for each, count in zip((x, y), counts, strict=True):
        axes = np.linalg.eigh(each.T @ (weights[:, None] * each))[1][:, ::-1][:, :count]
        scores.append(np.linalg.qr(each @ axes)[0])
    return np.linalg.svd(scores[0].T @ scores[1], compute_uv=False)


def correlated(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A layer and a region of six dimensions each, centred: of other variances, and other shares of noise."""
    generator = np.random.default_rng(seed)
    shared, spread = generator.normal(size=(n, 6)), np.array([9.0, 6.0, 4.0, 2.5, 1.5, 1.0])
    mixing = np.linalg.qr(generator.normal(size=(6, 6)))[0]
    noise = [[0.5, 0.5, 0.2, 2.0, 1.0, 1.0], [0.3, 0.6, 2.0, 0.2, 0.5, 0.5]]
    sides = [
        (signal + sd * generator.normal(size=(n, 6))) / np.sqrt(1 + np.square(sd)) * spread
        for signal, sd in zip((shared, shared @ mixing), noise, strict=True)
    ]
    return tuple(each - each.mean(axis=0) for each in sides)


@pytest.mark.parametrize("counts", [(3, 6), (6, 3), (3, 3)])
def test_correlations_change_as_axes_of_weighted_stimuli_turn(counts):
    n = 20_000
    x, y = correlated(n)
    layer, region = (PrincipalAxes.of(region_axes(each)) for each in (x, y))
    pairs = canonical_pairs(layer.axes, region.axes, counts)
    weights = np.linspace(0.3, 1.0, len(pairs.correlations))
    influence = layer.influence_of_turns(counts[0], pairs.u, pairs.v, pairs.correlations, weights)
    influence += region.influence_of_turns(counts[1], pairs.v, pairs.u, pairs.correlations, weights)
    # Weights that make the third axis turn to the fourth.
    change = sum(np.tanh(each[:, 2] / 4) * np.tanh(each[:, 3] / 2.5) for each in (x, y))
    ahead, behind = (
        weights @ weighted_correlations(x, y, counts, 1 + sign * 1e-2 * change) for sign in (1, -1)
    )
    derivative = (ahead - behind) / 2e-2
    assert abs(derivative) > 0.01
    assert influence @ change == pytest.approx(derivative, rel=0.02)


@pytest.mark.parametrize("shared", [0.3, 0.1])
def test_turns_count_by_what_axes_left_out_share_beyond_noise(shared):
    n, correlation, squares = 41, 0.6, np.array([5.0, 4.0, 2.0, 1.0])
    axes = np.linalg.qr(np.random.default_rng(1).normal(size=(n, 6)))[0]
    rest = np.sqrt(1 - correlation**2 - shared**2)
    partner = correlation * axes[:, 1] + shared * axes[:, 2] + rest * axes[:, 5]
    found = PrincipalAxes(axes[:, :4], squares).influence_of_turns(
        2, axes[:, [1]], partner[:, None], np.array([correlation]), np.array([2.0])
    )
    rates = turning_rates(squares[:2], squares[2:], n)[1]
    noise = (1 - correlation**2) / 38 * np.sum(rates**2)
    beyond = max(1 - noise / (rates[0] * shared) ** 2, 0)
    assert (beyond > 0) == (shared > 0.2)
    expected = 2.0 * rates[0] * shared * np.sqrt(beyond) * axes[:, 1] * axes[:, 2]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("first", "second"), [(2.0, 1.0), (1.0, 0.99)])
def test_gaps_are_as_uncertain_as_squares_and_products_in_gaussian_data(first, second):
    n, draws = 100, 4000
    scores = np.random.default_rng(2).normal(size=(2, draws, n)) * np.sqrt([first, second])[:, None, None]
    gaps, products = (scores[0] ** 2 - scores[1] ** 2).mean(axis=1), (scores[0] * scores[1]).mean(axis=1)
    gap, squared = first - second, gaps.var() + products.var()
    inverse = gap / (gap**2 + squared)
    turned = products.var() * inverse**2
    rate = turning_rates(np.array([first]), np.array([second]), n)[0, 0]
    assert rate == pytest.approx(second * inverse / (1 + turned), rel=0.1)


def test_an_axis_turns_to_many_others_by_no_more_than_itself():
    n, kept, left_out = 300, np.array([1.1, 1.0]), np.linspace(0.5, 0.99, 2000)
    rates = turning_rates(kept, left_out, n)
    turned = (rates / left_out) ** 2 * np.multiply.outer(kept, left_out) / n
    assert (turned.sum(axis=1) < 1).all() and turned.sum(axis=1).max() > 0.9
    assert (turned.sum(axis=0) < 1).all()


@pytest.mark.filterwarnings("error")
def test_one_side_against_itself_is_1_in_every_resample():
    # Blocks of stimuli, each with a unit of its own: what is shared with axes left out is 0, but for rounding.
    for seed in range(50):
        generator = np.random.default_rng(seed)
        x = np.kron(np.eye(5), np.ones((12, 1))) * generator.normal(size=(60, 1))
        counts = generator.multinomial(60, np.full(60, 1 / 60), 50)
        values = svcca(0.5).kernel.resampler(x, counts)(x @ x.T)
        np.testing.assert_allclose(values, 1, rtol=0, atol=1e-12)


def test_all_axes_kept_cannot_turn():
    x, y = correlated(50)
    layer, region = (PrincipalAxes.of(region_axes(each)) for each in (x, y))
    pairs = canonical_pairs(layer.axes, region.axes, (6, 6))
    assert not layer.influence_of_turns(6, pairs.u, pairs.v, pairs.correlations, np.ones(6)).any()


@pytest.mark.parametrize("share", [0.5, 0.7])
def test_standard_error_is_the_spread_over_experiments_where_axes_are_left_out(share):
    fixed, n = np.random.default_rng(0), 150
    to_layer, to_region = fixed.normal(size=(30, 100)) / 2, fixed.normal(size=(30, 20)) / 2
    counts = np.random.default_rng(1).multinomial(n, np.full(n, 1 / n), 300)
    values, errors = [], []
    for trial in range(150):
        generator = np.random.default_rng([3, trial])
        latent = generator.normal(size=(n, 30)) / np.sqrt(np.arange(1, 31))
        x, y = np.tanh(latent @ to_layer), np.exp(np.tanh(latent @ to_region) / 2)
        y += 0.3 * generator.normal(size=y.shape)
        values.append(svcca_similarity(x @ x.T, y, share))
        errors.append(svcca(share).kernel.resampler(y, counts)(x @ x.T).std())
    # Were axes not to turn, it would be 0.75 and 0.84 of the spread.
    assert 0.9 < np.sqrt(np.mean(np.square(errors))) / np.std(values) < 1.15
