"""How the steps of rules that are told one number grow with the width of the network.

``python analyses/rule_scaling/width.py --out runs`` (half an hour of one core; can be killed and called again)

One hidden layer of 8 to 64 units, handwritten digits of 8 × 8 pixels, plain SGD without momentum, so that
nothing but the estimate of the gradient differs. What is counted are steps until the loss on held-out images
has fallen to 0.7 of what chance gives, at the best of eight rates for each rule and width. An estimate from K
perturbations in D dimensions has a squared cosine of K / (K + D + 1) with the gradient, so for a cost that
curves alike in all directions steps grow as (K + D + 1) / K times backprop's: D is the number of weights under
weight perturbation and evolution strategies (without ranks), of units under node perturbation.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from scipy.stats import linregress

import brainalign as ba
from brainalign.training.trainer import DivergedError

TASK, K, SEEDS, STEPS = "classification:digits,batch_size=128", 16, range(3), 3000
WIDTHS, LOSS, N_CHECKPOINTS = (8, 16, 32, 64), 0.7 * np.log(10), 80
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)
RULES = {
    "backprop": "backprop",
    "node_perturbation": f"node_perturbation:samples={K}",
    "weight_perturbation": f"weight_perturbation:samples={K}",
    "evolution_strategies": f"evolution_strategies:samples={K},ranks=false,sigma=0.001",
}


def main() -> None:
    """Train all, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    out, rows = parser.parse_args().out, []
    for width in WIDTHS:
        for rule in RULES:
            folder = out / f"{rule}_{width}"
            searched = {lr: _steps(rule, width, lr, 100, folder / f"search_{lr:.4g}") for lr in RATES}
            best = min(searched, key=lambda lr: searched[lr])
            for seed in SEEDS:
                steps = _steps(rule, width, best, seed, folder / f"{seed}")
                rows.append({"rule": rule, "width": width, "lr": best, "seed": seed, "steps": steps})
    table = pd.DataFrame(rows)
    table.to_csv(Path(__file__).with_name("width.csv"), index=False, float_format="%.6g")
    print(summary(table).round(2).to_string())
    print(exponents(table).round(2).to_string())


def _steps(rule: str, width: int, lr: float, seed: int, out: Path) -> float:
    """Give the steps until the loss has fallen so far, infinite where it does not."""
    try:
        run = ba.train(
            f"mlp:hidden={width}",
            TASK,
            RULES[rule],
            seed=seed,
            steps=STEPS if rule != "backprop" else STEPS // 10,
            optimizer="sgd",
            lr=lr,
            checkpoints=N_CHECKPOINTS,
            out=out,
            progress=False,
        )
    except DivergedError:
        return np.inf
    loss, steps = run.table["loss"].to_numpy(), run.table["step"].to_numpy(float)
    below = np.flatnonzero(loss <= LOSS)
    if not below.size or below[0] == 0:
        return np.inf
    last = below[0]
    part = (loss[last - 1] - LOSS) / (loss[last - 1] - loss[last])
    return float(steps[last - 1] + part * (steps[last] - steps[last - 1]))


def dimensions(rule: str, width: int) -> int:
    """Give the number of dimensions that are perturbed: units, or weights and biases."""
    units = width + 10
    return units if rule == "node_perturbation" else 64 * width + 10 * width + units


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give median steps, and their multiple of backprop's at that width beside the predicted one."""
    median = table.groupby(["rule", "width"], sort=False)["steps"].median()
    rows = [
        {
            "rule": rule,
            "width": width,
            "steps": steps,
            "by_backprop": steps / median["backprop", width],
            "predicted": (K + dimensions(rule, width) + 1) / K if rule != "backprop" else 1.0,
        }
        for (rule, width), steps in median.items()
    ]
    return pd.DataFrame(rows).set_index(["rule", "width"])


def exponents(table: pd.DataFrame) -> pd.DataFrame:
    """Give slopes of log steps, by backprop's, over log width: measured, its standard error, predicted."""
    found, rows = summary(table), {}
    for rule in list(RULES)[1:]:
        of_rule = np.log(found.loc[rule])
        x = np.log(np.array(WIDTHS, float))
        line = linregress(x, of_rule["by_backprop"])
        predicted = linregress(x, of_rule["predicted"]).slope
        rows[rule] = {"exponent": line.slope, "standard_error": line.stderr, "predicted": predicted}
    return pd.DataFrame(rows).T


if __name__ == "__main__":
    main()
