"""How often stages are found where there are some, and invented where there are none (SIMULATED curves).

``python benchmarks/stage_recovery.py [--runs 400] [--out benchmarks/stage_recovery.csv]``

Curves of five seeds at the 24 checkpoints of ``analyses/cifar10_rules``, rising by 1 in all, with first-order
autoregressive noise (standard deviation 0.02, correlation 0.5; 0.9 where said) of each seed's own. Seeds differ
in offset and gain by a standard deviation of 2 %, and in the times of their stages by 0.02 of the clock.
A row a truth: the share of runs with stages, with the right number of them, and whose 95 % intervals hold the
true onset, half-time, width and gain, of runs with the right number.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from brainalign.trajectory.clocks import CLOCKS, LINEAR, LOG, clock, step_at
from brainalign.trajectory.families import stages_family
from brainalign.trajectory.find_stages import find_stages
from brainalign.trajectory.stages import MEASURES

STEPS = np.array(
    [0, 1, 2, 3, 4, 5, 8, 11, 15, 21, 29, 41, 57, 80, 112, 158, 221, 309, 433, 607, 851, 1192, 1670, 2340.0]
)
N_SEEDS, NOISE, JITTER, SPREAD = 5, 0.02, 0.02, 0.02


@dataclass(frozen=True)
class Truth:
    """A course without stages, or the times and gains of stages on a clock."""

    course: Callable[[np.ndarray], np.ndarray] | None = None
    kind: str = LOG
    times: tuple[float, ...] = ()
    gains: tuple[float, ...] = ()
    correlation: float = 0.5


def _courses() -> dict[str, Truth]:
    courses = {
        f"constant, noise correlated {rho}": Truth(np.zeros_like, correlation=rho) for rho in (0.0, 0.5, 0.9)
    }
    for kind in CLOCKS:
        courses |= {
            f"line in {kind}": Truth(lambda time: time, kind),
            f"line in {kind}, noise correlated 0.9": Truth(lambda time: time, kind, correlation=0.9),
            **{
                f"exponential in {kind}, rate {rate}": Truth(
                    lambda time, rate=rate: np.expm1(-rate * time) / np.expm1(-rate), kind
                )
                for rate in (3, 10, 30)
            },
            **{
                f"power law in {kind}, exponent {exponent}": Truth(
                    lambda time, exponent=exponent: 1 - (1 + time / 0.01) ** -exponent, kind
                )
                for exponent in (0.5, 2)
            },
        }
    return courses


TRUTHS = _courses() | {
    "1 stage in log steps, wide": Truth(None, LOG, (0.3, 0.8), (1.0,)),
    "1 stage in log steps, narrow": Truth(None, LOG, (0.5, 0.7), (1.0,)),
    "1 stage in steps": Truth(None, LINEAR, (0.1, 0.5), (1.0,)),
    "2 stages in log steps": Truth(None, LOG, (0.1, 0.35, 0.6, 0.85), (0.5, 0.5)),
    "2 stages in log steps, the second falling": Truth(None, LOG, (0.15, 0.4, 0.65, 0.9), (1.0, -0.4)),
    "3 stages in log steps": Truth(None, LOG, (0.05, 0.25, 0.4, 0.55, 0.7, 0.9), (0.3, 0.4, 0.3)),
}


def simulate(truth: Truth, generator: np.random.Generator) -> np.ndarray:
    """Draw the curves of five seeds."""
    curves = []
    for _ in range(N_SEEDS):
        if truth.course is not None:
            mean = truth.course(clock(STEPS, truth.kind))
        else:
            family = stages_family(STEPS, truth.kind, len(truth.gains))
            times = np.array(truth.times) + JITTER * generator.normal()
            mean = family.basis(times) @ np.array([0.0, *truth.gains])
        noise = np.empty(len(STEPS))
        noise[0] = generator.normal()
        for i in range(1, len(STEPS)):
            fresh = np.sqrt(1 - truth.correlation**2) * generator.normal()
            noise[i] = truth.correlation * noise[i - 1] + fresh
        offset, gain = SPREAD * generator.normal(size=2)
        curves.append(offset + (1 + gain) * mean + NOISE * noise)
    return np.array(curves)


def expected(truth: Truth) -> dict[str, np.ndarray]:
    """Give the true measures of each stage."""
    onset, end = np.array(truth.times[::2]), np.array(truth.times[1::2])
    steps = {name: step_at(time, STEPS, truth.kind) for name, time in (("onset", onset), ("end", end))}
    return {
        "onset": steps["onset"],
        "half_time": step_at((onset + end) / 2, STEPS, truth.kind),
        "width": steps["end"] - steps["onset"],
        "gain": np.array(truth.gains),
    }


def recover(name: str, runs: int) -> dict[str, str | float]:
    """Give one row of the table."""
    truth, counts, held = TRUTHS[name], [], {measure: [] for measure in MEASURES}
    for run in range(runs):
        found = find_stages(simulate(truth, np.random.default_rng([run, *name.encode()])), STEPS)
        counts.append(found.sizes["stage"])
        if truth.gains and counts[-1] == len(truth.gains):
            for measure, value in expected(truth).items():
                low, high = found[f"{measure}_low"].values, found[f"{measure}_high"].values
                held[measure].append((low <= value) & (value <= high))
    counts = np.array(counts)
    row: dict[str, str | float] = {
        "data": "SIMULATED",
        "truth": name,
        "runs": runs,
        "with_stages": float((counts > 0).mean()),
        "right_number": float((counts == len(truth.gains)).mean()),
    }
    return row | {f"{name}_held": float(np.mean(each)) if each else np.nan for name, each in held.items()}


def main() -> None:
    """Simulate each truth, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("stage_recovery.csv"))
    parser.add_argument("--truths", nargs="*", default=list(TRUTHS))
    arguments = parser.parse_args()
    rows = []
    for name in arguments.truths:
        rows.append(recover(name, arguments.runs))
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in rows[-1].items()})
    pd.DataFrame(rows).to_csv(arguments.out, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
