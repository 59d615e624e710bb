"""Steps and multiply-adds that every rule takes to a criterion, against backprop.

``python analyses/rule_scaling/to_criterion.py --out runs`` (an hour; can be killed and called again)

Handwritten digits of 8 × 8 pixels, two hidden layers, batches of 64; the criterion is 90 % of held-out images
named (of a read-out fitted apart, for a rule that trains none). Rates are searched in one budget for all:
eight, half a decade apart, each as long as training, on training images that are set apart; the best is the one
that reaches the criterion first, and among those that do not the most accurate. Controls: backprop of the
read-out alone, all else fixed as it was drawn; and accuracy before training (`start`), which of a rule that
trains no read-out is that of one fitted to the untrained network.
"""

import argparse
import dataclasses
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import brainalign as ba
from brainalign.networks import Shape, make_network
from brainalign.rules import RULES, find_rule
from brainalign.tasks import find_task
from brainalign.training.search import default_rates, validating
from brainalign.training.trainer import DivergedError

NETWORK, TASK, STEPS, SEEDS = "mlp:hidden=64-64", "classification:digits,batch_size=64", 2000, range(5)
CRITERION, N_CHECKPOINTS = 0.9, 60
READ_OUT_ALONE = "read_out_alone"


def main() -> None:
    """Search and train all, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    out = parser.parse_args().out
    rows = []
    for name in [name for name, rule in RULES.items() if rule.learns] + [READ_OUT_ALONE]:
        searched = {
            rate: _reached(name, validating(TASK), rate, 100, out / name / f"search_{rate:g}")
            for rate in default_rates(_rule(name))
        }
        rate = min(searched, key=lambda each: (searched[each][0], -searched[each][1]))
        for seed in SEEDS:
            steps, best, start = _reached(name, TASK, rate, seed, out / name / f"{seed}")
            rows.append(
                {"rule": name, "lr": rate, "seed": seed, "steps": steps, "best_accuracy": best, "start": start}
            )
    table = pd.DataFrame(rows)
    table.to_csv(Path(__file__).with_name("to_criterion.csv"), index=False, float_format="%.6g")
    print(summary(table).to_string())


def _rule(name: str) -> str:
    return "backprop" if name == READ_OUT_ALONE else name


def _network(name: str, seed: int) -> str | nn.Module:
    """Give the network's name or, for the control, the network with all but its read-out fixed."""
    if name != READ_OUT_ALONE:
        return NETWORK
    task = find_task(TASK)
    network = make_network(NETWORK, Shape(task.preprocessing, task.n_outputs), seed)
    for parameter, values in network.named_parameters():
        values.requires_grad_(parameter.startswith("head."))
    return network


def _reached(name: str, task: str, lr: float, seed: int, out: Path) -> tuple[float, float, float]:
    """Give the steps to the criterion (infinite where it is not reached), the best accuracy and the first."""
    try:
        run = ba.train(
            _network(name, seed),
            task,
            _rule(name),
            seed=seed,
            steps=STEPS,
            lr=lr,
            checkpoints=N_CHECKPOINTS,
            out=out,
            progress=False,
        )
    except DivergedError:
        return np.inf, 0.0, 0.0
    table = run.table
    column = "accuracy" if find_rule(_rule(name)).trains_readout else "readout_accuracy"
    accuracy, steps = table[column].to_numpy(), table["step"].to_numpy(float)
    above = np.flatnonzero(accuracy >= CRITERION)
    if not above.size or above[0] == 0:
        return (0.0 if above.size else np.inf), float(accuracy.max()), float(accuracy[0])
    last = above[0]
    part = (CRITERION - accuracy[last - 1]) / (accuracy[last] - accuracy[last - 1])
    steps_taken = steps[last - 1] + part * (steps[last] - steps[last - 1])
    return float(steps_taken), float(accuracy.max()), float(accuracy[0])


def multiply_adds(name: str, steps: float) -> float:
    """Count one step's, as a mean over ten of those that lead to the criterion."""
    rule, task = find_rule(_rule(name)), find_task(TASK)
    network = make_network(NETWORK, Shape(task.preprocessing, task.n_outputs, rule.activation), 0)
    if name == READ_OUT_ALONE:
        network = _network(name, 0)
    generator = torch.Generator().manual_seed(0)
    state = rule.init(network, task, generator)
    batch = next(task.batches(generator))
    with FlopCounterMode(display=False) as counted:
        for step in np.linspace(0, min(steps, STEPS), 10).astype(int).tolist():
            if "step" in state:  # what is done may depend on how far training is
                state["step"] = torch.tensor(step)
            list(rule.updates(network, task, dataclasses.replace(batch, step=step), state, generator))
    return counted.get_total_flops() / 20


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give each rule's median steps, and steps and multiply-adds as multiples of backprop's."""
    by_rule = table.groupby("rule", sort=False)
    found = by_rule["steps"].agg(["median", "min", "max"]).assign(lr=by_rule["lr"].first())
    found[["best_accuracy", "start"]] = by_rule[["best_accuracy", "start"]].mean()
    each = pd.Series({name: multiply_adds(name, steps) for name, steps in found["median"].items()})
    found["steps_by_backprop"] = found["median"] / found.loc["backprop", "median"]
    found["multiply_adds_by_backprop"] = found["steps_by_backprop"] * each / each["backprop"]
    return found.round(3)


if __name__ == "__main__":
    main()
