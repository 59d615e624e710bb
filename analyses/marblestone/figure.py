"""The figure of the four tests, from tests.csv: ``python analyses/marblestone/figure.py``."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from brainalign.figures.style import COLOURS, FAINT, TWO_COLUMNS, in_style, save

HERE = Path(__file__).parent
PANELS = {
    "T1\n|gradient|² by\nbatch variance": (
        "T1",
        "",
        "signal_to_noise",
        {"true": 0, "renamed": 1, "permuted": 2},
    ),
    "T2\ncosine of motion\nand −gradient": ("T2", "checkpoints", "cosine_apart", {"true": 0, "permuted": 2}),
    "T3, weights pushed\nshare of the cost\nrecovered": (
        "T3",
        "weights",
        "recovered_cost",
        {"own": 0, "other": 1},
    ),
    "T3, read-out new\nshare of the cost\nrecovered": (
        "T3",
        "readout",
        "recovered_cost",
        {"own": 0, "other": 1},
    ),
    "T4\nanswers that obey,\nless the control's": ("T4", "", "obedience", {"renamed": 0, "permuted": 2}),
}
LEGEND = ("the cost in question", "another cost", "targets permuted")
LOWEST = -0.6


def main() -> None:
    """Draw one panel a test, one mark a seed."""
    table = pd.read_csv(HERE / "tests.csv").fillna({"kind": ""})
    rules = list(dict.fromkeys(table["rule"]))
    with in_style():
        figure, axes = plt.subplots(1, len(PANELS), figsize=(TWO_COLUMNS / 25.4, 62 / 25.4), sharey=True)
        for axis, (title, panel) in zip(axes, PANELS.items(), strict=True):
            _draw(axis, table, rules, *panel)
            axis.set_title(title, fontsize=6.5, loc="left")
        axes[0].set_yticks(range(len(rules)), [rule.replace("_", " ") for rule in rules])
        axes[0].invert_yaxis()
        axes[0].set_xscale("symlog", linthresh=0.1)
        marks = [
            plt.Line2D([], [], color=COLOURS[i], marker="o", ls="", ms=3, label=LEGEND[i]) for i in range(3)
        ]
        marks.append(
            plt.Line2D([], [], color=FAINT, marker="o", mfc="none", ls="", ms=3, label="hollow: does not pass")
        )
        figure.legend(handles=marks, loc="lower center", ncols=4, frameon=False)
        figure.tight_layout(rect=(0, 0.07, 1, 1), w_pad=0.6)
    save(figure, HERE / "tests.pdf")


def _draw(
    axis: Axes, table: pd.DataFrame, rules: list[str], test: str, kind: str, value: str, guesses: dict[str, int]
) -> None:
    """Draw each seed's value, filled where the test is passed; what lies below `LOWEST` on the edge."""
    part = table[(table["test"] == test) & (table["kind"] == kind)]
    axis.axvline(0, color=FAINT, lw=0.5)
    for place, (guess, colour) in enumerate(guesses.items()):
        rows = part[part["guess"] == guess]
        height = np.array([rules.index(rule) for rule in rows["rule"]]) + 0.24 * (
            place - (len(guesses) - 1) / 2
        )
        # What does not learn has no number; training that ended without numbers is off the edge.
        x = rows[value].where(rows["rule"] != "untrained", rows[value].fillna(0)).fillna(LOWEST)
        x = x.clip(LOWEST, None).to_numpy()
        filled = rows["passes"].to_numpy(bool)
        for chosen, face in ((filled, COLOURS[colour]), (~filled, "white")):
            axis.scatter(
                x[chosen], height[chosen], s=9, lw=0.7, ec=COLOURS[colour], fc=face, clip_on=False, zorder=3
            )


if __name__ == "__main__":
    main()
