"""Trajectories that several tests of metrics over time draw."""

from collections.abc import Callable

import numpy as np
import pytest


@pytest.fixture
def smooth() -> Callable[..., np.ndarray]:
    """Draw independent Gaussian processes of a squared exponential, 10 ms bins: (condition, time, unit)."""

    def draw(
        rng: np.random.Generator, conditions: int = 10, times: int = 61, units: int = 10, width: float = 0.05
    ) -> np.ndarray:
        t = np.arange(times) / 100
        covariance = np.exp(-(np.subtract.outer(t, t) ** 2) / (2 * width**2)) + 1e-6 * np.eye(times)
        noise = rng.standard_normal((conditions, times, units))
        return np.einsum("ts,csu->ctu", np.linalg.cholesky(covariance), noise)

    return draw
