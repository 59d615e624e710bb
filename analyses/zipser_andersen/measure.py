"""Do gain fields tell the rule? Networks that learn head-centred position by errors or by reward, and controls.

``python analyses/zipser_andersen/measure.py --out runs`` (two minutes of a core; goes on where it was stopped)

A multilayer perceptron of 25 sigmoid units learns `coordinate_transform` by each rule, as in Zipser & Andersen
(1988; backprop) and Mazzoni, Andersen & Jordan (1991; reward). Of each hidden unit the planar gain field is
measured before and after learning, and after its input weights were shuffled among the units of the retina and
among those of the eyes, which leaves their size as it was.
"""

import argparse
import copy
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.stats
import torch
from torch import nn

import brainalign as ba
from brainalign.figures.style import COLOURS, STYLE
from brainalign.tasks.coordinate_transform import CoordinateTransform
from brainalign.trajectory.gain_fields import ANGLES, evoked_activity, gain_fields, grid

HERE = Path(__file__).parent
TASK = CoordinateTransform()
NETWORK, LAYER, STEPS = "mlp:hidden=25,activation=sigmoid", "blocks.0.activation", 3000
RULES = {"backprop": 0.003, "node_perturbation": 0.003, "reinforce": 0.003}
"""Rules with the rate of Adam."""
RETINAL, EYE = grid(np.linspace(-40, 40, 9)), grid(ANGLES)


def main() -> None:
    """Train what is not yet trained, and write tables and the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    units = pd.concat(
        [measure(rule, seed, given.out) for rule in RULES for seed in range(given.seeds)], ignore_index=True
    )
    units.drop(columns=["best_x", "best_y"]).to_csv(HERE / "units.csv", index=False, float_format="%.4g")
    summary = summarise(units)
    summary.to_csv(HERE / "gain_fields.csv", index=False, float_format="%.4g")
    print(summary.to_string(index=False))
    draw(units, given.out, HERE / "gain_fields.png")


def trained(rule: str, seed: int, out: Path) -> tuple[nn.Module, nn.Module, float]:
    """Train a network; give it before and after learning, and its error in degrees."""
    run = ba.train(
        NETWORK,
        task=TASK,
        rule=rule,
        seed=seed,
        steps=STEPS,
        optimizer=f"adam:lr={RULES[rule]}",
        checkpoints=4,
        out=out / f"{rule}-{seed}",
        progress=False,
    )
    return run.load(0), run.load(STEPS), float(run.table["position_error"].iloc[-1])


def shuffled(network: nn.Module, seed: int) -> nn.Module:
    """Shuffle each hidden unit's weights among the units of the retina, and among those of the eyes."""
    rng, copied = np.random.default_rng(seed), copy.deepcopy(network)
    weight = copied.get_parameter("blocks.0.linear.weight").data
    n_retina = TASK.side**2
    n_shown = n_retina + 4 * TASK.eye_units
    for row in weight:
        for start, stop in ((0, n_retina), (n_retina, n_shown)):
            row[start:stop] = row[start:stop][torch.from_numpy(rng.permutation(stop - start))]
    return copied


def measure(rule: str, seed: int, out: Path) -> pd.DataFrame:
    """Give the gain fields of the hidden units before and after learning, and with shuffled weights."""
    before, after, error = trained(rule, seed, out)
    tables = []
    for state, network in (("untrained", before), ("trained", after), ("shuffled", shuffled(after, seed))):
        table = gain_fields(evoked_activity(network, TASK, LAYER, RETINAL, EYE), RETINAL, EYE)
        table.insert(0, "rule", rule)
        table.insert(1, "seed", seed)
        table.insert(2, "state", state)
        tables.append(table.assign(position_error=error if state == "trained" else np.nan))
    return pd.concat(tables)


def summarise(units: pd.DataFrame) -> pd.DataFrame:
    """Average units within a network, then networks, with 95 % t-intervals over seeds."""
    of_network = units.groupby(["rule", "state", "seed"], sort=False)[
        ["planar", "depth", "r2", "separable", "position_error"]
    ].mean()
    rows = []
    for (rule, state), each in of_network.groupby(level=["rule", "state"], sort=False):
        half = scipy.stats.t.ppf(0.975, len(each) - 1) * each["planar"].std(ddof=1) / len(each) ** 0.5
        rows.append(
            {"rule": rule, "state": state, "n_seeds": len(each), **each.mean(), "planar_half_interval": half}
        )
    return pd.DataFrame(rows)


def draw(units: pd.DataFrame, out: Path, path: Path) -> None:
    """Draw shares of planar units, and gain fields: circles at eye positions, as large as the activity."""
    states = ("untrained", "trained", "shuffled")
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 1 + len(RULES), figsize=(7.1, 2.4), layout="constrained")
        shares = units.groupby(["rule", "state", "seed"])["planar"].mean()
        for place, rule in enumerate(RULES):
            for shift, state in zip((-0.2, 0.0, 0.2), states, strict=True):
                values = shares[rule, state].to_numpy()
                x = place + shift + np.linspace(-0.05, 0.05, len(values))
                colour = COLOURS[states.index(state)]
                axes[0].plot(x, values, "o", ms=3, color=colour, label=state if place == 0 else None)
        axes[0].set_xticks(range(len(RULES)), [rule.replace("_", "\n") for rule in RULES])
        axes[0].set(ylim=(-0.03, 1.03), ylabel="share of units with a planar gain field")
        axes[0].legend(frameon=False, loc="center", bbox_to_anchor=(0.5, 0.25))
        for panel, rule in zip(axes[1:], RULES, strict=True):
            evoked = evoked_activity(trained(rule, 0, out)[1], TASK, LAYER, RETINAL, EYE)
            _draw_fields(panel, evoked, rule)
        figure.suptitle(
            "SIMULATED networks. Right: nine hidden units of one network; circles lie at eye positions, their "
            "area is the evoked activity",
            fontsize=7,
        )
        figure.savefig(path, dpi=200)
        plt.close(figure)


def _draw_fields(panel: plt.Axes, evoked: np.ndarray, rule: str) -> None:
    """Draw nine units in a square, each a square of nine eye positions."""
    best = np.abs(evoked.mean(1)).argmax(0)
    for number in range(9):
        activity = np.abs(evoked[best[number], :, number])
        x, y = 70 * (number % 3) + EYE[:, 0], 70 * (number // 3) + EYE[:, 1]
        panel.scatter(x, y, s=40 * activity / activity.max(), color=COLOURS[1], linewidths=0)
    panel.set(title=rule, xticks=[], yticks=[], aspect="equal")
    panel.title.set_size(7)
    panel.spines[:].set_visible(False)


if __name__ == "__main__":
    main()
