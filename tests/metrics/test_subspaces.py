"""Alignment of preparatory and movement subspaces: planted ones, and random ones drawn by the covariance."""

import numpy as np
import pytest

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics.subspaces import (
    SubspaceKernel,
    alignment_index,
    random_subspaces,
    subspace_alignment,
)
from brainalign.metrics.trajectories import Preprocessing

TIMES = np.round(np.arange(-0.3, 0.3, 0.01) + 0.005, 6)  # no time lies in both windows
N_UNITS = 30


def population(shared: int, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """Preparation and movement of three dimensions each, of which `shared` are the same ones."""
    generator = np.random.default_rng(seed)
    axes = np.linalg.qr(generator.normal(size=(N_UNITS, 6)))[0]
    before, after = axes[:, :3], axes[:, 3 - shared : 6 - shared]
    states = generator.normal(size=(16, 60, 3))
    x = np.concatenate([states[:, :30] @ before.T, states[:, 30:] @ after.T], axis=1)
    return x + noise * generator.normal(size=x.shape)


def kernel(n_components: int = 3, **options) -> SubspaceKernel:
    return SubspaceKernel(n_components, preprocessing=Preprocessing("none"), **options)


def test_orthogonal_subspaces_have_zero_and_one_subspace_has_one():
    assert kernel().value(population(0), TIMES) == pytest.approx(0, abs=1e-12)
    assert kernel().value(population(3), TIMES) == pytest.approx(1, abs=1e-12)
    shares = [kernel().value(population(shared), TIMES) for shared in (1, 2)]
    assert shares == pytest.approx([1 / 3, 2 / 3], abs=0.1)


def test_the_index_is_that_of_a_loop():
    generator = np.random.default_rng(0)
    root = generator.normal(size=(6, 6))
    covariance = root @ root.T
    bases = np.linalg.qr(generator.normal(size=(4, 6, 2)))[0]
    most = sum(sorted(np.linalg.eigvalsh(covariance))[-2:])
    expected = [sum(d @ covariance @ d for d in basis.T) / most for basis in bases]
    np.testing.assert_allclose(alignment_index(bases, covariance), expected, rtol=1e-12)
    best = np.linalg.eigh(covariance)[1][:, -2:]
    assert alignment_index(best, covariance) == pytest.approx(1, abs=1e-12)


def test_random_subspaces_follow_the_covariance():
    drawn = random_subspaces(np.eye(10), 3, 4000, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.swapaxes(1, 2) @ drawn, np.tile(np.eye(3), (4000, 1, 1)), atol=1e-12)
    index = alignment_index(drawn, np.diag([1.0] + [0.0] * 9))
    # A direction lies within a subspace of 3 of 10 dimensions by 3/10 on average.
    assert index.mean() == pytest.approx(0.3, abs=5 * index.std() / np.sqrt(4000))
    flat = random_subspaces(np.diag([1.0, 1.0, 1.0, 0, 0, 0]), 2, 50, np.random.default_rng(0))
    np.testing.assert_allclose(flat[:, 3:], 0, atol=1e-12)


def test_orthogonal_subspaces_are_less_aligned_than_random_ones_and_shared_ones_are_not():
    for shared, beyond in ((0, True), (3, False)):
        x = population(shared, noise=0.1)
        null = kernel().null(x, TIMES, 200, np.random.default_rng(1))
        assert (null > 0).all() and (null <= 1).all()
        assert (kernel().value(x, TIMES) < null.min()) == beyond
    again = kernel().null(x, TIMES, 200, np.random.default_rng(1))
    np.testing.assert_array_equal(again, null)


def test_the_null_holds_movements_own_variance_and_so_lies_high():
    generator = np.random.default_rng(5)
    spread = np.linspace(3, 0.1, N_UNITS)
    ranks = []
    for _ in range(20):
        before, after = (
            (
                random_subspaces(np.diag(spread**2), 3, 1, generator)[0] @ generator.normal(size=(3, 16 * 30))
            ).T.reshape(16, 30, N_UNITS)
            for _ in range(2)
        )
        x = np.concatenate([before, after], axis=1)
        null = kernel().null(x, TIMES, 100, generator)
        ranks.append(np.mean(null <= kernel().value(x, TIMES)))
    # Preparation and movement are drawn alike and apart, and yet lie low among subspaces drawn by both.
    assert np.mean(ranks) < 0.3


def test_a_common_course_is_subtracted():
    x = population(0)
    common = 50 * np.random.default_rng(0).normal(size=(60, N_UNITS))
    assert kernel().value(x + common, TIMES) == pytest.approx(0, abs=1e-9)
    with_mean = subspace_alignment(3, subtract_mean=False, normalise="none").kernel
    assert with_mean.value(x + common, TIMES) > 0.05


def test_bad_windows_and_sizes_raise():
    x = population(0)
    with pytest.raises(ResponsesError, match="Window -0.9:-0.5 holds 0 of the times"):
        kernel(prepare="-0.9:-0.5").value(x, TIMES)
    with pytest.raises(UnknownNameError, match="Window 'early' is none"):
        subspace_alignment(move="early")
    with pytest.raises(
        ResponsesError, match="A subspace of 31 dimensions was asked for of 480 states × 30 units"
    ):
        kernel(31).value(x, TIMES)
    x[0, 0, 0] = np.nan
    with pytest.raises(ResponsesError, match="The alignment of subspaces was asked for of .* NaN or infinite"):
        kernel().value(x, TIMES)


def test_where_movement_does_not_vary_there_is_no_value():
    x = population(0)
    x[:, 30:] = 0
    assert np.isnan(kernel().value(x, TIMES))
