"""The jackknife of pairs against a loop over all pairs; nuclear norms against a decomposition of each."""

import numpy as np
import pytest

from brainalign.metrics.jackknife import PairJackknife, drawn_pairs, nuclear_norm_changes


def multiplicities(n_resamples: int, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), n_resamples)


@pytest.mark.parametrize("n", [4, 5, 30, 31, 640, 2560])
def test_pairs_are_distinct_and_take_every_stimulus_alike(n):
    pairs = drawn_pairs(n)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert len(np.unique(np.sort(pairs), axis=0)) == len(pairs) >= min(500, n * (n - 2) // 2)
    assert len(np.unique(np.bincount(pairs.ravel(), minlength=n))) == 1
    np.testing.assert_array_equal(pairs, drawn_pairs(n))


def quadratic(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """A mean of stimuli and a mean of pairs of n = 9 stimuli, whatever remains of them."""
    kept = np.ix_(among, among)
    return np.diagonal(values)[among].sum() + (values[kept].sum() - np.trace(values[kept])) / 2


def test_replicates_of_a_sum_over_pairs_are_exact():
    # With n = 9 there are 36 pairs, all of which are drawn, and a sum over pairs has no third differences.
    n, generator = 9, np.random.default_rng(0)
    values = generator.normal(size=(n, n))
    values += values.T
    everyone, pairs = np.arange(n), drawn_pairs(n)
    assert len(pairs) == 36
    whole = quadratic(values, everyone)
    ones = np.array([quadratic(values, np.delete(everyone, i)) for i in everyone])
    twos = np.array([quadratic(values, np.delete(everyone, pair)) for pair in pairs])
    counts = multiplicities(50, n)
    found = PairJackknife(counts).replicates(whole, ones, twos)
    excess = counts - 1.0
    influence = (whole - ones) * 8 / 9
    upper = np.triu(values, 1)
    mean = upper[np.triu_indices(n, 1)].mean()
    centred = np.triu(upper - mean, 1)
    expected = whole + excess @ (influence - influence.mean()) + np.sum((excess @ centred) * excess, axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    np.testing.assert_allclose(PairJackknife(3 * counts).replicates(whole, ones, twos), expected, atol=1e-10)
    assert np.isnan(PairJackknife(0 * counts).replicates(whole, ones, twos)).all()


SHAPES = [(50, 8, 5), (50, 5, 8), (20, 30, 25), (20, 30, 15), (12, 1, 1), (12, 3, 40), (200, 80, 50)]


def sides(n: int, p: int, q: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(n, p)) * np.linspace(0.1, 3, p)
    return x, x @ generator.normal(size=(p, q)) + 5 * generator.normal(size=(n, q)), generator


def changes(x: np.ndarray, y: np.ndarray, sets: np.ndarray) -> np.ndarray:
    product = x.T @ y
    eigenvalues, axes = np.linalg.eigh(product.T @ product)
    gram = (x @ x.T)[sets[:, :, None], sets[:, None, :]]
    return nuclear_norm_changes(eigenvalues, (y @ axes)[sets], (x @ product @ axes)[sets], gram)


@pytest.mark.parametrize("scale", [1.0, 1e6, 1e-6])
@pytest.mark.parametrize("n_left", [1, 2])
@pytest.mark.parametrize(("n", "p", "q"), SHAPES)
def test_changes_equal_those_of_singular_values(n, p, q, n_left, scale):
    x, y, generator = sides(n, p, q)
    x *= scale
    sets = np.array([generator.choice(n, n_left, replace=False) for _ in range(20)])
    whole = np.linalg.norm(x.T @ y, "nuc")
    expected = [np.linalg.norm(x.T @ y - x[left].T @ y[left], "nuc") - whole for left in sets]
    np.testing.assert_allclose(changes(x, y, sets), expected, rtol=1e-6, atol=1e-7 * whole)


def test_sides_without_a_product_gain_what_is_left_out():
    # XᵀY = 0, exactly; without one stimulus it is −xᵀy, whose singular value is |x| |y|.
    x, y = np.array([[1.0], [1.0], [2.0], [2.0]]), np.array([[1.0, 2.0], [-1.0, -2.0], [3.0, 0.0], [-3.0, 0.0]])
    expected = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    np.testing.assert_allclose(changes(x, y, np.arange(4)[:, None]), expected, rtol=1e-5)
