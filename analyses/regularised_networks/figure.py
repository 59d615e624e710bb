"""Draw dimension and rotation by regularisation: ``python analyses/regularised_networks/figure.py``."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from brainalign.figures.style import BAND, COLOURS, FAINT, WARNING, in_style, save

HERE = Path(__file__).parent
SHOWN = {
    "participation_ratio": "participation ratio (dimensions)",
    "ratio": "jPCA: R² skew / R² free",
    "endpoint_mm": "end-point error (mm)",
    "mean_square_rate": "mean squared rate",
}


def main() -> None:
    """Draw what the table holds."""
    table = pd.read_csv(HERE / "results.csv")
    summary = pd.read_csv(HERE / "differences.csv")
    tasks, kinds = table["task"].unique(), list(table["kind"].unique())
    with in_style():
        figure, axes = plt.subplots(
            len(tasks), len(SHOWN), figsize=(7.1, 2.0 * len(tasks) + 0.6), layout="constrained", squeeze=False
        )
        for row, task in zip(axes, tasks, strict=True):
            for panel, (measure, label) in zip(row, SHOWN.items(), strict=True):
                of_measure = summary[(summary["task"] == task) & (summary["measure"] == measure)]
                draw(panel, table[table["task"] == task], of_measure.set_index("kind"), kinds, measure)
                panel.set_ylabel(label)
            row[0].set_title(task, loc="left", fontsize=7)
            row[2].set_yscale("log")
        figure.suptitle(
            "SIMULATED networks. A grey line is a seed, bars are 95 % t-intervals over seeds; crosses: mean of "
            "each network's surrogates",
            fontsize=7,
            color=WARNING,
        )
        save(figure, HERE / "regularised.png")
    plt.close(figure)


def draw(panel: Axes, table: pd.DataFrame, summary: pd.DataFrame, kinds: list[str], measure: str) -> None:
    """Draw a measure of each network, joined within a seed, and its mean over seeds."""
    trained = [kind for kind in kinds if kind != "untrained"]
    wide = table.pivot(index="kind", columns="seed", values=measure).loc[kinds]
    panel.axvspan(-0.5, 0.5, color=BAND, lw=0)
    panel.plot([kinds.index(kind) for kind in trained], wide.loc[trained], color=FAINT, lw=0.4, alpha=0.6)
    for place, kind in enumerate(kinds):
        of = summary.loc[kind]
        bar = np.array([[of["mean"] - of["low"]], [of["high"] - of["mean"]]])
        colour = FAINT if kind == "untrained" else COLOURS[0]
        panel.errorbar(place, of["mean"], bar, fmt="o", ms=3.5, lw=1, color=colour)
        if measure == "ratio":
            null = table.loc[table["kind"] == kind, "ratio_null"]
            panel.plot(np.full(len(null), place), null, "x", ms=3, mew=0.6, color=COLOURS[1])
    panel.set_xticks(range(len(kinds)), [kind.replace(", ", ",\n") for kind in kinds], rotation=45, ha="right")
    panel.set_xlim(-0.5, len(kinds) - 0.5)


if __name__ == "__main__":
    main()
