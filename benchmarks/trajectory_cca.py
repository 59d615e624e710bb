"""Held-out canonical correlation of trajectories and its smoothness-matched chance, against plain NumPy."""

import numpy as np

from benchmarks.rows import Row, require_equal, times_faster
from benchmarks.timing import fastest
from brainalign.metrics.paired_trajectories import condition_folds
from brainalign.metrics.smooth_chance import SmoothProcess, smooth_chance
from brainalign.metrics.trajectory_canonical import TrajectoryCcaKernel

N_COMPONENTS = 10


def measure(small: bool) -> list[Row]:
    """Time one value, and draws of its chance; the peer decomposes all rows, ours units × units."""
    conditions, times, units, n = (6, 40, 15, 3) if small else (108, 61, 150, 5)
    rng = np.random.default_rng(0)
    model, brain = rng.normal(size=(2, conditions, times, units)).cumsum(axis=2)
    seconds = np.arange(times) / 100
    kernel = TrajectoryCcaKernel(N_COMPONENTS)
    value = fastest(
        5,
        {
            "ours": lambda: kernel.compare(model, brain, seconds, np.random.default_rng(1)),
            "numpy": lambda: plain(model, brain, np.random.default_rng(1)),
        },
    )
    require_equal("trajectory_cca, one value", value["ours"].result, value["numpy"].result, 1e-9)
    process = SmoothProcess.fit(model, seconds)
    chance = fastest(
        1,
        {
            "ours": lambda: smooth_chance(kernel, model, brain, seconds, n, np.random.default_rng(2)),
            "numpy": lambda: plain_chance(process, brain, n, np.random.default_rng(2)),
        },
    )
    require_equal("trajectory_cca, chance", chance["ours"].result, chance["numpy"].result, 1e-9)
    size = f"{conditions} conditions × {times} times × {units} units, {N_COMPONENTS} components, five folds"
    return [
        times_faster(
            f"trajectory_cca_{name}",
            f"held-out CCA, {size}{what}: against plain NumPy",
            run["ours"].seconds,
            run["numpy"].seconds,
            2,
        )
        for name, what, run in (("value", "", value), ("chance", f", {n} random trajectories", chance))
    ]


def plain(model: np.ndarray, brain: np.ndarray, rng: np.random.Generator) -> float:
    """Singular values of training conditions, correlations of the others, and nothing else."""
    found = []
    for test in condition_folds(len(model), 5, rng):
        bases, maps, tests = [], [], []
        for side in (model, brain):
            train = np.delete(side, test, axis=0)
            mean = train.mean(axis=0)
            left, lengths, right = np.linalg.svd((train - mean).reshape(-1, side.shape[2]), full_matrices=False)
            bases.append(left[:, :N_COMPONENTS])
            maps.append(right[:N_COMPONENTS].T / lengths[:N_COMPONENTS])
            tests.append((side[test] - mean).reshape(-1, side.shape[2]))
        left, _, right = np.linalg.svd(bases[0].T @ bases[1])
        u, v = tests[0] @ maps[0] @ left, tests[1] @ maps[1] @ right.T
        u, v = u - u.mean(axis=0), v - v.mean(axis=0)
        found.append(np.mean(np.sum(u * v, axis=0) / np.linalg.norm(u, axis=0) / np.linalg.norm(v, axis=0)))
    return float(np.mean(found))


def plain_chance(process: SmoothProcess, brain: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw and score, `n` times."""
    return np.array([plain(process.draw(rng), brain, rng) for _ in range(n)])
