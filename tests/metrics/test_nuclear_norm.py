"""Nuclear norms without some stimuli against a decomposition of each."""

import numpy as np
import pytest

from brainalign.metrics.nuclear_norm import nuclear_norm_changes

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
