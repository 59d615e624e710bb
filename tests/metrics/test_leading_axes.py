"""Leading principal axes: how their turning changes canonical correlations, against weighted decompositions."""

import numpy as np
import pytest

from brainalign.metrics.canonical import svcca, svcca_similarity
from brainalign.metrics.canonical_pairs import canonical_pairs
from brainalign.metrics.gram_kernel import region_axes
from brainalign.metrics.leading_axes import PrincipalAxes


def weighted_pairs(
    x: np.ndarray, y: np.ndarray, counts: tuple[int, int], weights: np.ndarray, of_axes: np.ndarray
) -> np.ndarray:
    """Correlations of weighted stimuli, on the leading principal axes that they have by other weights."""
    scores = []
    for each, count in zip((x, y), counts, strict=True):
        axes = np.linalg.eigh(each.T @ (of_axes[:, None] * each))[1][:, ::-1][:, :count]
        scores.append(np.linalg.qr(np.sqrt(weights)[:, None] * (each @ axes))[0])
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
    ones = np.ones_like(pairs.correlations)
    influence = layer.influence_of_turns(counts[0], pairs.u, pairs.v, pairs.correlations, ones)
    influence += region.influence_of_turns(counts[1], pairs.v, pairs.u, pairs.correlations, ones)
    # Weights that make the third axis turn to the fourth.
    change = sum(np.tanh(each[:, 2] / 4) * np.tanh(each[:, 3] / 2.5) for each in (x, y))
    ahead, behind = (
        weighted_pairs(x, y, counts, np.ones(n), 1 + sign * 1e-2 * change).sum() for sign in (1, -1)
    )
    derivative = (ahead - behind) / 2e-2
    assert abs(derivative) > 0.01
    assert influence @ change == pytest.approx(derivative, rel=0.02)


def test_axes_that_cannot_be_told_apart_do_not_turn_without_bounds():
    generator, n = np.random.default_rng(1), 200
    x = generator.normal(size=(n, 4))
    y = x + 0.3 * generator.normal(size=(n, 4))
    layer = PrincipalAxes.of(region_axes(x - x.mean(axis=0)))
    alike = PrincipalAxes(layer.axes, np.array([3.0, 2.0, 2.0, 1.0]))
    pairs = canonical_pairs(alike.axes, region_axes(y - y.mean(axis=0))[0], (2, 4))
    turns = alike.influence_of_turns(2, pairs.u, pairs.v, pairs.correlations, np.ones(2))
    assert np.isfinite(turns).all() and np.linalg.norm(turns) < 1


@pytest.mark.parametrize(("first", "second"), [(2.0, 1.0), (1.0, 1.0)])
def test_bounds_of_gaps_are_their_variance_in_gaussian_data(first, second):
    # Of the squares' difference, and of the product that turns one axis to the other; each over n draws.
    n, draws = 100, 4000
    scores = np.random.default_rng(2).normal(size=(2, draws, n)) * np.array([first, second])[:, None, None]
    gap = (scores[0] ** 2 - scores[1] ** 2).mean(axis=1)
    turn = (scores[0] * scores[1]).mean(axis=1)
    bound = (first**2 * second**2 + 2 * first**4 + 2 * second**4) / n
    assert gap.var() + turn.var() == pytest.approx(bound, rel=0.1)


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
