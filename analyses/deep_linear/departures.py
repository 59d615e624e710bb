"""How modes are learned in linear networks under many rules, beside the theory of gradient descent.

``python analyses/deep_linear/departures.py --out runs`` (minutes; can be killed and called again)

All train on all samples at once by plain gradient descent, without weight decay, from balanced and aligned
weights of strength 0.01, five seeds each (of the weights' rotation and of whatever the rule draws). Rates are
fixed below, so that the strongest mode is half learned within some hundred steps; each run is then held against
the theory in its own time, in which its strongest mode is half learned when the theory says. Fixed feedback
weights are about as large as the forward weights become, and the mirror is fast enough to follow them.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import scipy.stats
import torch
from drawing import Seeds, draw_rules, draw_tree
from torch import nn

import brainalign as ba
from brainalign.tasks import find_task
from brainalign.training.trainer import DivergedError
from brainalign.trajectory.deep_linear import half_times
from brainalign.trajectory.linear_modes import (
    DeepLinear,
    Modes,
    balanced_network,
    mode_maps,
    mode_strengths,
    network_map,
    task_modes,
)
from brainalign.trajectory.mode_departures import departures, first_crossing, own_tau

HERE = Path(__file__).parent
SEEDS, STEPS, EVERY, START, WIDTH = range(5), 1500, 10, 0.01, 16
TEACHER, TREE = "singular_modes:values=4-3-2-1", "singular_modes:variant=hierarchy,branching=2,depth=3"
MIRROR = "weight_mirror:noise=1.0,mirror_rate={},decay=2.667"


@dataclass(frozen=True)
class Trial:
    """A rule with its rate, on a task, in a network of so many weight matrices."""

    label: str
    rule: str
    lr: float
    depth: int = 2
    task: str = TEACHER
    random_start: bool = False

    def network(self, modes: Modes, seed: int) -> DeepLinear:
        """Make the network as it starts."""
        hidden = (WIDTH,) * (self.depth - 1)
        if not self.random_start:
            return balanced_network(modes, START, hidden, seed)
        network = DeepLinear(len(modes.v), len(modes.u), hidden)
        # W₁v and W₂ᵀu then have, along the direction in which both grow, the strength START on average.
        deviation = (2 * START / WIDTH) ** 0.5
        generator = torch.Generator().manual_seed(seed)
        for layer in network.layers:
            nn.init.normal_(layer.linear.weight, std=deviation, generator=generator)
        return network

    def run(self, modes: Modes, seed: int, out: Path) -> ba.Run:
        """Train, or open what was trained; of a run that diverges, what came before."""
        network = self.network(modes, seed)
        folder = out / ("tree" if self.task == TREE else "teacher") / str(self.depth) / self.label / str(seed)
        try:
            return ba.train(
                network,
                self.task,
                self.rule,
                seed=seed,
                steps=STEPS,
                optimizer="sgd",
                lr=self.lr,
                checkpoints=range(0, STEPS + 1, EVERY),
                out=folder,
                progress=False,
            )
        except DivergedError:
            return ba.Run.open(folder, network)


TWO = [
    Trial("backprop", "backprop", 5e-3),
    Trial("backprop, random start", "backprop", 5e-3, random_start=True),
    Trial("kolen_pollack", "kolen_pollack", 5e-3),
    Trial("weight_mirror", MIRROR.format(10), 5e-3),
    Trial("dtp_l_drl", "dtp_l_drl", 5e-3),
    Trial("difference_target_propagation", "difference_target_propagation", 5e-3),
    Trial("node_perturbation", "node_perturbation", 5e-3),
    Trial("weight_perturbation", "weight_perturbation", 5e-3),
    Trial("evolution_strategies", "evolution_strategies", 5e-4),
    Trial("reinforce", "reinforce:samples=16", 5e-3),
    Trial("feedback_alignment", "feedback_alignment:scale=16", 3e-3),
    Trial("feedback_alignment, small", "feedback_alignment", 2e-2),
    Trial("direct_feedback_alignment", "direct_feedback_alignment", 3e-3),
    Trial("sign_symmetry_uniform", "sign_symmetry_uniform:scale=16", 2e-3),
    Trial("sign_symmetry_fixed_random", "sign_symmetry_fixed_random:scale=16", 2e-3),
    Trial("dtp_drl", "dtp_drl", 3e-3),
    Trial("simplified_dtp", "simplified_dtp:inverse_rate=0.06", 1.6e-3),
    Trial("target_propagation", "target_propagation:inverse_rate=0.1,target_step=1.0", 2e-3),
    Trial("pepita", "pepita:scale=0.1", 5e-2),
]
SHALLOW = [Trial("backprop, one matrix", "backprop", 5e-3, depth=1)]
THREE = [
    Trial("backprop", "backprop", 5e-3, 3),
    Trial("kolen_pollack", "kolen_pollack", 8e-3, 3),
    Trial("weight_mirror", MIRROR.format(10), 5e-3, 3),
    Trial("node_perturbation", "node_perturbation", 5e-3, 3),
    Trial("feedback_alignment", "feedback_alignment:scale=7", 3e-3, 3),
    Trial("direct_feedback_alignment", "direct_feedback_alignment", 2e-3, 3),
    Trial("sign_symmetry_uniform", "sign_symmetry_uniform:scale=7", 3e-3, 3),
    Trial("difference_target_propagation", "difference_target_propagation:inverse_rate=0.1", 5e-3, 3),
]
HIERARCHY = [
    Trial("backprop", "backprop", 1.5e-2, task=TREE),
    Trial("kolen_pollack", "kolen_pollack", 1.5e-2, task=TREE),
    Trial("weight_mirror", MIRROR.format(13), 1.5e-2, task=TREE),
    Trial("node_perturbation", "node_perturbation", 1.5e-2, task=TREE),
    Trial("weight_perturbation", "weight_perturbation", 1.5e-2, task=TREE),
    Trial("feedback_alignment", "feedback_alignment:scale=8", 1.5e-2, task=TREE),
    Trial("direct_feedback_alignment", "direct_feedback_alignment", 1.5e-2, task=TREE),
    Trial("sign_symmetry_uniform", "sign_symmetry_uniform:scale=8", 1.5e-2, task=TREE),
]
LEVELS = np.repeat(range(4), (1, 1, 2, 4))
"""Level of the tree of each of its modes, from what is common to all items to what tells single ones apart."""


def main() -> None:
    """Train all, and write tables and figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    out = parser.parse_args().out
    modes = task_modes(find_task(TEACHER))
    tables = []
    for name, trials in (("one", SHALLOW), ("two", TWO), ("three", THREE)):
        curves = {}
        for trial in trials:
            table, curves[trial.label] = held_against(trial, modes, out)
            tables.append(table)
        if name != "one":
            draw_rules(curves, modes.s, START, trials[0].depth, HERE / f"{name}_matrices.png")
    table = pd.concat(tables, ignore_index=True)
    table.to_csv(HERE / "departures.csv", index=False, float_format="%.5g")
    print(summary(table).to_csv(sep="|", index=False))
    print(hierarchy(out).to_csv(sep="|", index=False))


def held_against(trial: Trial, modes: Modes, out: Path) -> tuple[pd.DataFrame, Seeds]:
    """Give a trial's departures, seed by seed in its own time, and its curves."""
    tables, curves = [], []
    for seed in SEEDS:
        maps = mode_maps(trial.run(modes, seed, out), modes)
        start = START if trial.random_start else None
        tau = own_tau(maps, modes, start)
        steps = maps["checkpoint"].values
        of_seed = departures(maps, modes, tau if np.isfinite(tau) else None, start)
        of_trial = {"rule": trial.label, "matrices": trial.depth, "lr": trial.lr, "seed": seed}
        of_trial |= {"steps": steps[-1], "own_tau": tau}
        tables.append(of_seed.assign(**of_trial)[[*of_trial, *of_seed]])
        curves.append((tau, steps, mode_strengths(maps, len(modes)).values))
    return pd.concat(tables), curves


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give each rule's means over seeds with 95 % t-intervals, in its own time, beside the prediction."""
    rows = []
    for (depth, label), of_rule in table.groupby(["matrices", "rule"], sort=False):
        by_seed = [each for _, each in of_rule.groupby("seed")]
        row = {"matrices": depth, "rule": label, "η": by_seed[0]["lr"].iloc[0]}
        row["τ η"] = interval([each["own_tau"].iloc[0] * each["lr"].iloc[0] for each in by_seed])
        for column, title in (("half_time", "half-time exponent"), ("width", "width exponent")):
            theory = exponent(by_seed[0]["s"], by_seed[0][f"predicted_{column}"])
            found = interval([exponent(each["s"], each[column]) for each in by_seed])
            row[title] = f"{found} ({theory:.2f})"
        row["width / predicted"] = interval(
            [(each["width"] / each["predicted_width"]).mean(skipna=False) for each in by_seed]
        )
        ordered = [bool((np.diff(each["half_time"]) > 0).all()) for each in by_seed]
        row["in order"] = f"{sum(ordered)}/{len(ordered)}"
        diverged = sum(each["steps"].iloc[0] < STEPS for each in by_seed)
        row["least learned"] = interval([(each["final"] / each["s"]).min() for each in by_seed])
        row["coupling"] = interval([each["coupling"].max() for each in by_seed])
        row["deviation"] = interval([each["deviation"].max() for each in by_seed])
        rows.append(row | {"diverged": diverged})
    return pd.DataFrame(rows)


def exponent(s: pd.Series, times: pd.Series) -> float:
    """Fit the exponent of s in times, by least squares of the logarithms; NaN where a time is not known."""
    return float(np.polyfit(np.log(s), np.log(times), 1)[0]) if np.isfinite(times).all() else np.nan


def interval(values: Sequence[float]) -> str:
    """Give the mean and the half-width of its 95 % t-interval, unless all are the same; how many are known."""
    known = np.array([value for value in values if np.isfinite(value)])
    if len(known) < 2:
        return "–"
    half = scipy.stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / len(known) ** 0.5
    text = f"{known.mean():.2g} ± {half:.1g}" if half > 1e-4 * abs(known.mean()) else f"{known.mean():.3g}"
    return text if len(known) == len(values) else f"{text} [{len(known)}]"


def hierarchy(out: Path) -> pd.DataFrame:
    """Train on the tree, write when its levels are half learned, draw, and give a summary."""
    modes = task_modes(find_task(TREE))
    s = np.array([modes.s[level == LEVELS].mean() for level in range(4)])
    rows, curves, first = [], {}, None
    for trial in HIERARCHY:
        of_rule = []
        for seed in SEEDS:
            run = trial.run(modes, seed, out)
            first = first or run
            strengths = mode_strengths(mode_maps(run, modes), len(modes))
            steps, values = strengths["checkpoint"].values.astype(float), strengths.values
            # Modes of one level share a singular value; their mean does not depend on the choice among them.
            levels = np.stack([values[:, level == LEVELS].mean(1) for level in range(4)], axis=1)
            found = [first_crossing(steps, levels[:, level], s[level] / 2) for level in range(4)]
            unit = half_times(s, np.full(4, START), 1.0)
            tau = found[0] / unit[0]
            of_rule.append((tau, steps, levels))
            for level in range(4):
                row = {"rule": trial.label, "lr": trial.lr, "seed": seed, "level": level, "s": s[level]}
                rows.append(row | {"half_time": found[level], "predicted_half_time": tau * unit[level]})
        curves[trial.label] = of_rule
    table = pd.DataFrame(rows)
    table.to_csv(HERE / "hierarchy.csv", index=False, float_format="%.5g")
    assert first is not None
    draw_tree(curves, s, START, answers_at(first), HERE / "hierarchy.png")
    return hierarchy_summary(table)


def hierarchy_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give the half-times of the levels as multiples of the predicted ones, in the rule's own time."""
    rows = []
    for label, of_rule in table.groupby("rule", sort=False):
        ratio = of_rule.assign(ratio=of_rule["half_time"] / of_rule["predicted_half_time"])
        row = {"rule": label, "η": of_rule["lr"].iloc[0]}
        for level in range(1, 4):
            row[f"level {level}"] = interval(ratio.loc[ratio["level"] == level, "ratio"].tolist())
        ordered = [bool((np.diff(each["half_time"]) > 0).all()) for _, each in of_rule.groupby("seed")]
        rows.append(row | {"broad before fine": f"{sum(ordered)}/{len(ordered)}"})
    return pd.DataFrame(rows)


def answers_at(run: ba.Run) -> list[tuple[str, np.ndarray]]:
    """Give inner products of the answers to items when each level is half learned by theory, and at the end."""
    inputs = next(find_task(TREE).seen()).inputs.flatten(1).double().numpy()
    s = np.unique(task_modes(find_task(TREE)).s.round(6))[::-1]
    wanted = half_times(s, np.full(len(s), START), 1 / run.settings.lr)
    steps = {f"level {level} half learned": EVERY * round(at / EVERY) for level, at in enumerate(wanted)}
    found = []
    for name, step in (steps | {"at the end": STEPS}).items():
        answers = inputs @ network_map(run.load(step)).T
        found.append((f"{name}\n(step {step})", answers @ answers.T))
    return found


if __name__ == "__main__":
    main()
