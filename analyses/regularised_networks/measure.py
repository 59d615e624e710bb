"""Dimension and rotation of networks that reach, regularised or not.

``nice python analyses/regularised_networks/measure.py`` (five minutes of one core; goes on where it stopped)

A row of results.csv is one task, regularisation and seed; rows that are there are not made again. The seed
fixes the weights to start from and all trials, so that regularisations are compared within a seed.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch

from brainalign.metrics.jpca import JpcaKernel
from brainalign.metrics.participation_ratio import ParticipationRatioKernel
from brainalign.metrics.tensor_max_entropy import p_above
from brainalign.metrics.trajectories import Preprocessing
from brainalign.networks import make_network
from brainalign.rules import find_rule
from brainalign.tasks.center_out import CenterOut, DelayedReach
from brainalign.tasks.motor_task import MotorTask
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer
from brainalign.trajectory.verdicts import t_interval

HERE = Path(__file__).parent
NETWORK, STEPS, BATCH, DT, SEEDS, N_NULL = "rnn:units=64", 300, 32, 0.02, range(5), 500
TASKS = {"center_out": CenterOut, "delayed_reach": DelayedReach}
WINDOW = "-0.05:0.35"
"""Seconds from when movement is to begin."""


@dataclass(frozen=True)
class Regularisation:
    """Weights of the costs of effort and rates, and the decay of the network's weights."""

    effort: float = 0.0
    rate: float = 0.0
    decay: float = 0.0


KINDS = {
    "none": Regularisation(),
    "medium": Regularisation(1e-3, 1e-2, 1e-4),
    "strong": Regularisation(1e-2, 1e-1, 1e-3),
}
MEASURES = ("participation_ratio", "ratio", "excess", "endpoint_mm", "mean_square_rate", "weight_norm")
"""Excess is the ratio over the mean of the network's own surrogates."""


def main() -> None:
    """Train and measure what is not in the table yet, and compare with no regularisation."""
    for seed in SEEDS:
        for task in TASKS:
            for kind in ("untrained", *KINDS):
                if not _known(task=task, kind=kind, seed=seed):
                    measure(task, kind, seed)
    summary = compare(pd.read_csv(HERE / "results.csv"))
    summary.to_csv(HERE / "differences.csv", index=False, float_format="%.4g")
    print(summary.to_string(index=False))


def measure(name: str, kind: str, seed: int) -> None:
    """Train one network, and write its row."""
    chosen = KINDS.get(kind, KINDS["none"])
    weights = {"effort": chosen.effort, "rate": chosen.rate}
    task = TASKS[name](body="point_mass", batch_size=BATCH, dt=DT, **weights)
    rule = find_rule("bptt")
    network = make_network(NETWORK, task.shape(rule.activation), seed)
    optimizer = find_optimizer(f"adam:lr=0.003,weight_decay={chosen.decay:g}")
    trainer, start = Trainer(network, task, rule, optimizer, seed), time.process_time()
    while kind != "untrained" and trainer.step < STEPS:
        trainer.advance()
    seconds = time.process_time() - start
    row = {"task": name, "kind": kind, "seed": seed, "seconds": seconds} | measured(trainer, task, seed)
    path = HERE / "results.csv"
    pd.DataFrame([row]).to_csv(path, mode="a", header=not path.exists(), index=False, float_format="%.6g")
    print({key: value if isinstance(value, str) else round(value, 3) for key, value in row.items()}, flush=True)


@torch.no_grad()
def measured(trainer: Trainer, task: MotorTask, seed: int) -> dict[str, float]:
    """Give what the network does in each condition's trial, and the dimension and rotation of its rates."""
    network, batch = trainer.network.eval(), next(task.held_out())
    course, kept = task.course(network, batch, keep_rates=True)
    errors = 1e3 * task.endpoint_error(course, batch)
    rates = torch.stack(kept, 1).double().numpy()
    times = task.dt * np.arange(1, rates.shape[1] + 1) - task.movement_time
    plain, centred = (Preprocessing("none", WINDOW, subtract_mean=each) for each in (False, True))
    jpca = JpcaKernel(6, centred)
    fitted, null = jpca.fit(rates, times), jpca.null(rates, times, N_NULL, np.random.default_rng(seed))
    hand = course[..., 2:4].double().numpy()
    weights = [values.flatten() for name, values in network.named_parameters() if name.endswith("weight")]
    return {
        "endpoint_mm": float(errors.mean()),
        "worst_mm": float(errors.max()),
        "mean_square_rate": float((rates**2).mean()),
        "mean_square_control": float(course[..., 4:-1].square().mean()),
        "weight_norm": float(torch.cat(weights).norm()),
        "participation_ratio": ParticipationRatioKernel(plain).value(rates, times),
        "participation_ratio_hand": ParticipationRatioKernel(plain).value(hand, times),
        "r2_free": float(fitted.r2_free),
        "r2_skew": float(fitted.r2_skew),
        "ratio": float(fitted.ratio),
        "ratio_null": float(null.mean()),
        "p": p_above(float(fitted.ratio), null),
    }


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """Give means over seeds, and paired differences from no regularisation, with 95 % t-intervals."""
    rows = []
    table = table.assign(excess=table["ratio"] - table["ratio_null"])
    for (task, kind), of in table.groupby(["task", "kind"], sort=False):
        base = table[(table["task"] == task) & (table["kind"] == "none")].set_index("seed")
        of = of.set_index("seed")
        for name in MEASURES:
            row = {"task": task, "kind": kind, "measure": name, "n_seeds": len(of), "mean": of[name].mean()}
            row |= _interval(of[name].to_numpy())
            if kind != "none":
                paired = (of[name] - base[name]).dropna().to_numpy()
                row |= {"difference": paired.mean(), **_interval(paired, "difference_")}
            rows.append(row)
    return pd.DataFrame(rows)


def _interval(values: np.ndarray, prefix: str = "") -> dict[str, float]:
    low, high = t_interval(values) if len(values) > 1 else (np.nan, np.nan)
    return {f"{prefix}low": low, f"{prefix}high": high}


def _known(**which: object) -> bool:
    """Say whether the table has a row."""
    if not (HERE / "results.csv").exists():
        return False
    table = pd.read_csv(HERE / "results.csv")
    return bool(np.logical_and.reduce([table[column] == value for column, value in which.items()]).any())


if __name__ == "__main__":
    main()
