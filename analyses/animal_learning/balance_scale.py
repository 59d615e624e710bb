"""The order in which networks, and children, come to solve the kinds of balance-scale items.

``python analyses/animal_learning/balance_scale.py --out runs`` (ten minutes of one core; can be called again)

The problems of McClelland (1989): weights and distances from 1 to 5 on either side, each in five units of its
own, 625 in all; which side goes down, or neither. Problems with equal distances are shown five times as often,
since children have more experience with weight. Seven rules, five seeds. Children and networks are compared at
matched accuracy: at each age, the network as it was when its mean over the five kinds of items was the
children's, so that no time scale is fitted.
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import brainalign as ba
from brainalign.figures.style import COLOURS, MARKERS, TWO_COLUMNS, in_style, save
from brainalign.tasks import Classification, ImageSet
from brainalign.trajectory import half_ceilings, learning_curves

HERE = Path(__file__).parent
RULES = {
    "backprop": "momentum:lr=0.1",
    "feedback_alignment": "momentum:lr=0.1",
    "kolen_pollack": "momentum:lr=0.1,weight_decay=0.001",
    "difference_target_propagation": "adam:lr=0.003",
    "node_perturbation": "momentum:lr=0.003",
    "pepita": "momentum:lr=0.03",
    "local_pred": "adam:lr=0.003",
}
SEEDS, STEPS, CHECKPOINTS, OFTEN = range(5), 4000, 40, 5
ITEMS = ("weight", "distance", "conflict-weight", "conflict-distance", "conflict-balance")
SIDES = ("left", "right", "balance")


def problems() -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Give all problems as 5 × 5 images (four rows of units, one empty), their answers, and kinds of item."""
    numbers = np.array(
        list(product(range(1, 6), repeat=4))
    )  # weight and distance left, weight and distance right
    images = torch.zeros(len(numbers), 1, 5, 5, dtype=torch.uint8)
    for row in range(4):
        images[torch.arange(len(numbers)), 0, row, torch.from_numpy(numbers[:, row] - 1)] = 255
    weight, distance = numbers[:, 0] - numbers[:, 2], numbers[:, 1] - numbers[:, 3]
    torque = numbers[:, 0] * numbers[:, 1] - numbers[:, 2] * numbers[:, 3]
    answers = np.select([torque > 0, torque < 0], [0, 1], 2)
    conflict = weight * distance < 0
    kinds = [
        (weight != 0) & (distance == 0),
        (weight == 0) & (distance != 0),
        conflict & (torque * weight > 0),
        conflict & (torque * distance > 0),
        conflict & (torque == 0),
    ]
    return images, torch.from_numpy(answers), np.select(kinds, ITEMS, "other")


def task() -> Classification:
    """Give the problems, those of equal distances more often; all of them are tested."""
    images, answers, _ = problems()
    equal = (images[:, 0, 1] == images[:, 0, 3]).all(1)
    shown = torch.cat([torch.arange(len(images)), *[torch.nonzero(equal)[:, 0]] * (OFTEN - 1)])
    together = ImageSet("balance scale", images[shown], answers[shown], images, answers, SIDES)
    return Classification(together, batch_size=32)


def model_curves(rule: str, seed: int, out: Path) -> pd.DataFrame:
    """Train, and give the share of each kind of items that is answered right at each checkpoint."""
    run = ba.train(
        "mlp:hidden=8",
        task(),
        rule,
        seed=seed,
        steps=STEPS,
        optimizer=RULES[rule],
        checkpoints=CHECKPOINTS,
        out=out,
        progress=False,
    )
    images, answers, kinds = problems()
    inputs = task().preprocessing.standardised(images)
    rows = []
    for checkpoint in run.checkpoints():
        with torch.no_grad():
            right = (checkpoint.load()(inputs).argmax(1) == answers).numpy()
        rows.append({"step": checkpoint.step} | {item: right[kinds == item].mean() for item in ITEMS})
    return pd.DataFrame(rows).assign(rule=rule, seed=seed)


def at_accuracy(curves: pd.DataFrame, wanted: np.ndarray) -> np.ndarray:
    """Read a network's curves where its mean over items first reaches each value; NaN where it never does."""
    values = curves[list(ITEMS)].to_numpy()
    highest = np.maximum.accumulate(values.mean(1))
    return np.array(
        [
            values[np.argmax(highest >= each)] if each <= highest[-1] else np.full(len(ITEMS), np.nan)
            for each in wanted
        ]
    )


def main() -> None:
    """Train all, compare with the children, draw, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    out = parser.parse_args().out
    curves = pd.concat(
        [model_curves(rule, seed, out / f"{rule}_{seed}") for rule in RULES for seed in SEEDS],
        ignore_index=True,
    )
    curves.to_csv(HERE / "balance_scale.csv", index=False, float_format="%.6g")
    ages = learning_curves(ba.load_recording("visser_hmmr/balance8"), step="year", item="item").sel(
        item=list(ITEMS)
    )
    children = ages.mean("subject").values
    halves = half_ceilings(ages, 200, np.random.default_rng(0))
    rows, matched = [], {}
    for (rule, seed), part in curves.groupby(["rule", "seed"], sort=False):
        read = at_accuracy(part, children.mean(1))
        known = np.isfinite(read).all(1)
        matched.setdefault(rule, []).append(read)
        both = read[known].ravel(), children[known].ravel()
        enough = known.sum() >= 3
        rows.append(
            {
                "rule": rule,
                "seed": seed,
                "ages": int(known.sum()),
                "best_accuracy": part[list(ITEMS)].mean(axis=1).max(),
                "correlation": np.corrcoef(*both)[0, 1] if enough else np.nan,
                "rms": np.sqrt(np.mean((both[0] - both[1]) ** 2)) if enough else np.nan,
            }
        )
    table = pd.DataFrame(rows)
    table.to_csv(HERE / "balance_scale_fit.csv", index=False, float_format="%.6g")
    print(f"ceiling {halves.ceiling:.3f}, rms floor {halves.rms_floor:.3f}")
    print(table.groupby("rule", sort=False).agg(["mean", "std"]).round(3).to_string())
    draw(ages["step"].values, children, matched)


def draw(years: np.ndarray, children: np.ndarray, matched: dict[str, list[np.ndarray]]) -> None:
    """Draw the children beside each rule's networks."""
    import matplotlib.pyplot as plt

    panels = {"children": [children], **matched}
    with in_style():
        figure, grid = plt.subplots(2, 4, figsize=(TWO_COLUMNS / 25.4, 90 / 25.4), sharex=True, sharey=True)
        for axes, (name, seeds) in zip(grid.ravel(), panels.items(), strict=True):
            for item, colour, marker, values in zip(
                ITEMS, COLOURS, MARKERS, np.mean(seeds, axis=0).T, strict=False
            ):
                axes.plot(years, values, color=colour, marker=marker, markersize=3, label=item)
            axes.set_title(name.replace("_", " "), fontsize=7)
        figure.supxlabel("Age in years; networks: when as right, on the mean over kinds of items", fontsize=7)
        figure.supylabel("Proportion right", fontsize=7)
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="upper center", ncols=5, frameon=False)
        figure.subplots_adjust(top=0.86, left=0.08, right=0.99, bottom=0.13, hspace=0.25)
        save(figure, HERE / "balance_scale.png")
    plt.close(figure)


if __name__ == "__main__":
    main()
