"""The null of jPCA: tensor-maximum-entropy surrogates, each preprocessed, reduced and fitted anew."""

from collections.abc import Callable

import numpy as np

from benchmarks.rows import Row, require_equal, times_faster
from benchmarks.timing import fastest, measured
from brainalign.metrics.jpca import JpcaKernel
from brainalign.metrics.tensor_max_entropy import TensorMaximumEntropy

N_COMPONENTS = 6
STEP = 0.01


def measure(small: bool) -> list[Row]:
    """Time ours, and a loop over surrogates in plain numpy that draws the same numbers."""
    n, shape = (5, (5, 15, 8)) if small else (1000, (10, 61, 50))
    data = trajectories(shape)
    runs = fastest(2 if small else 3, {"ours": lambda: null(data, n), "peer": lambda: by_loop(data, n)})
    ours, peer = runs["ours"], runs["peer"]
    require_equal("jpca", ours.result, peer.result, 1e-6)
    return [
        times_faster(
            "jpca_null",
            f"null of jPCA, N = {n} surrogates of {shape[0]} conditions × {shape[1]} times × {shape[2]} units, "
            f"{multiply_adds(shape) / 1e6:.1f} M multiply-adds each: against a loop in plain numpy",
            ours.seconds,
            peer.seconds,
            1.5,
            measured(alone, n, shape).peak_mb,
        )
    ]


def null(data: np.ndarray, n: int) -> np.ndarray:
    """Give our values of n surrogates."""
    times = STEP * np.arange(data.shape[1])
    return JpcaKernel(N_COMPONENTS).null(data, times, n, np.random.default_rng(0))


def alone(start: Callable[[], None], n: int, shape: tuple[int, int, int]) -> None:
    """Ours in a process of its own."""
    data = trajectories(shape)
    start()
    null(data, n)


def trajectories(shape: tuple[int, int, int]) -> np.ndarray:
    """Simulate firing rates with smooth courses and shared dimensions."""
    n_conditions, n_times, n_units = shape
    generator = np.random.default_rng(0)
    phase = np.linspace(0, 2, n_times)[:, None] * np.arange(1, 9) + generator.uniform(
        0, 6, (n_conditions, 1, 8)
    )
    return 20 + 8 * np.sin(phase) @ generator.normal(size=(8, n_units)) + generator.normal(size=shape)


def multiply_adds(shape: tuple[int, int, int]) -> float:
    """Count what drawing, the covariance of units, its eigenvectors (9 n³) and projecting cost a surrogate."""
    n_conditions, n_times, n_units = shape
    drawn = np.prod(shape) * (n_conditions + n_times + n_units)
    return float(drawn + np.prod(shape) * (n_units + N_COMPONENTS) + 9 * n_units**3)


def by_loop(data: np.ndarray, n: int) -> np.ndarray:
    """Do the same one surrogate at a time: singular vectors, and least squares for both fits."""
    distribution = TensorMaximumEntropy.fit(data)
    generator = np.random.default_rng(0)
    spread = np.sqrt(distribution.variances)
    values = []
    for _ in range(n):
        drawn = spread * generator.standard_normal(spread.shape)
        for mode, basis in enumerate(distribution.bases):
            drawn = np.moveaxis(np.tensordot(basis, drawn, axes=(1, mode)), 0, mode)
        drawn = drawn + distribution.mean
        drawn = drawn / (np.ptp(drawn, axis=(0, 1)) + 5)
        values.append(_rotation(drawn - drawn.mean(axis=0)))
    return np.array(values)


def _rotation(trajectories: np.ndarray) -> float:
    """R² of the skew fit over that of the free one; the skew matrix is a sum of k(k−1)/2 basic ones."""
    points = trajectories.reshape(-1, trajectories.shape[2])
    points = points - points.mean(axis=0)
    axes = np.linalg.svd(points, full_matrices=False)[2][:N_COMPONENTS]
    scores = (points @ axes.T).reshape(*trajectories.shape[:2], N_COMPONENTS)
    velocity = np.diff(scores, axis=1).reshape(-1, N_COMPONENTS)
    states = ((scores[:, 1:] + scores[:, :-1]) / 2).reshape(-1, N_COMPONENTS)
    free = states @ np.linalg.lstsq(states, velocity, rcond=None)[0]
    columns = []
    for row, column in zip(*np.triu_indices(N_COMPONENTS, 1), strict=True):
        basic = np.zeros_like(velocity)
        basic[:, column], basic[:, row] = states[:, row], -states[:, column]
        columns.append(basic.ravel())
    design = np.stack(columns, axis=1)
    skew = design @ np.linalg.lstsq(design, velocity.ravel(), rcond=None)[0]
    total = np.sum(velocity**2)
    return (1 - np.sum((velocity.ravel() - skew) ** 2) / total) / (1 - np.sum((velocity - free) ** 2) / total)
