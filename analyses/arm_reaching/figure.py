"""Draw errors by rule, learning curves, and the hand's courses: ``python analyses/arm_reaching/figure.py``."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from brainalign.figures.style import COLOURS, FAINT, WARNING, in_style, save
from brainalign.trajectory.verdicts import t_interval

HERE = Path(__file__).parent
CONTROL, TOLERANCE_MM, DISTANCE_MM = "untrained", 10.0, 100.0
BEGIN, END = "<!-- table: written by figure.py -->", "<!-- end -->"
TITLES = {"arm": "arm, six muscles", "point_mass": "point mass"}


def main() -> None:
    """Write the summary, and draw what the tables hold."""
    results, curves, hands = (pd.read_csv(HERE / f"{name}.csv") for name in ("results", "curves", "hands"))
    table = summarise(results)
    table.to_csv(HERE / "summary.csv", index=False, float_format="%.4g")
    write_readme(table)
    on_arm = results[results["body"] == "arm"].groupby("rule")["median_mm"].mean()
    rules = list(on_arm.sort_values().index)
    with in_style():
        figure = plt.figure(figsize=(7.1, 7.2), layout="constrained")
        errors, learning, courses = figure.subfigures(3, 1, height_ratios=[2.2, 2.4, 2.4])
        for panel, body in zip(errors.subplots(1, 2, sharey=True), TITLES, strict=True):
            draw_errors(panel, results[results["body"] == body], rules)
            panel.set_title(TITLES[body], fontsize=7)
        errors.legend(*errors.axes[0].get_legend_handles_labels(), loc="outside right", frameon=False)
        for panel, body in zip(learning.subplots(1, 2, sharey=True), TITLES, strict=True):
            draw_learning(panel, curves[curves["body"] == body], rules)
        panels = courses.subplots(2, (len(rules) + 1) // 2).ravel()
        for panel, rule in zip(panels, rules, strict=False):
            draw_hand(panel, hands[(hands["body"] == "arm") & (hands["rule"] == rule)], rule)
        for panel in panels[len(rules) :]:
            panel.set_axis_off()
        courses.suptitle(
            "the hand of the arm, seed 0; a ring is what lies within 10 mm of a target", fontsize=7
        )
        learning.legend(*learning.axes[0].get_legend_handles_labels(), loc="outside right", frameon=False)
        figure.suptitle("SIMULATED networks and bodies", fontsize=7, color=WARNING)
        save(figure, HERE / "arm_reaching.png")
    plt.close(figure)


def summarise(results: pd.DataFrame) -> pd.DataFrame:
    """Give each body's and rule's errors over seeds, and what training took."""
    rows = []
    for (body, rule), of in results.groupby(["body", "rule"], sort=False):
        row = {"body": body, "rule": rule, "network": of["network"].iloc[0], "n_seeds": len(of)}
        for measure in ("median_mm", "worst_mm"):
            low, high = t_interval(of[measure].to_numpy()) if len(of) > 1 else (np.nan, np.nan)
            row |= {measure: of[measure].mean(), f"{measure}_low": low, f"{measure}_high": high}
        rows.append(row | of[["start_mm", "lr", "steps", "trials", "simulated", "seconds"]].mean().to_dict())
    return pd.DataFrame(rows)


def write_readme(table: pd.DataFrame) -> None:
    """Write the summary into the README, the smallest error of the arm first."""
    lines = [
        "| rule | network | rate | steps | simulated | arm: median | worst | s | point: median | worst | s |"
    ]
    lines.append("|---" * 11 + "|")
    wide = table.set_index(["rule", "body"])
    for rule in table[table["body"] == "arm"].sort_values("median_mm")["rule"]:
        arm = wide.loc[(rule, "arm")]
        cells = [f"`{rule}`", f"`{arm['network']}`", f"{arm['lr']:g}" if arm["steps"] else ""]
        cells += [f"{arm['steps']:.0f}", f"{arm['simulated']:,.0f}".replace(",", " ")]
        for body in TITLES:
            of = wide.loc[(rule, body)] if (rule, body) in wide.index else None
            cells += (
                ["", "", ""]
                if of is None
                else [_cell(of, "median_mm"), _cell(of, "worst_mm"), f"{of['seconds']:.0f}"]
            )
        lines.append("| " + " | ".join(cells) + " |")
    path = HERE / "README.md"
    before, _, rest = path.read_text().partition(BEGIN)
    path.write_text(before + BEGIN + "\n".join(["", *lines, ""]) + END + rest.partition(END)[2])


def _cell(of: pd.Series, measure: str) -> str:
    if of["n_seeds"] < 2:
        return f"{of[measure]:.1f} (one seed)"
    half = (of[f"{measure}_high"] - of[f"{measure}_low"]) / 2
    return f"{of[measure]:.1f} ± {half:.1f}" + ("" if of["n_seeds"] > 2 else " (two seeds)")


def draw_errors(panel: Axes, results: pd.DataFrame, rules: list[str]) -> None:
    """Draw each seed's median and worst error by rule, and the control's line."""
    for place, rule in enumerate(rules):
        of = results[results["rule"] == rule]
        shift = 0.12 * (np.arange(len(of)) - (len(of) - 1) / 2)
        panel.plot(
            of["worst_mm"],
            place + shift,
            "|",
            ms=6,
            color=COLOURS[1],
            label="worst target" if not place else None,
        )
        panel.plot(
            of["median_mm"],
            place + shift,
            "o",
            ms=3,
            color=COLOURS[0],
            label="median target" if not place else None,
        )
    control = results.loc[results["rule"] == CONTROL, "median_mm"].mean()
    panel.axvline(control, color=FAINT, ls="--", lw=0.8, label="untrained, median")
    panel.axvline(TOLERANCE_MM, color=FAINT, ls=":", lw=0.8, label="10 mm")
    panel.set(
        xscale="log", xlabel="end-point error (mm), a mark a seed", yticks=range(len(rules)), yticklabels=rules
    )
    panel.set_ylim(len(rules) - 0.5, -0.5)


def draw_learning(panel: Axes, curves: pd.DataFrame, rules: list[str]) -> None:
    """Draw the median error over trials, means of seeds."""
    for place, rule in enumerate(rule for rule in rules if rule != CONTROL):
        of = curves[curves["rule"] == rule].groupby("trials")["median_mm"].mean()
        style = {"color": COLOURS[place % len(COLOURS)], "ls": "-" if place < len(COLOURS) else "--"}
        panel.plot(of.index.to_numpy(), of.to_numpy(), label=rule, lw=0.9, **style)
    panel.axhline(TOLERANCE_MM, color=FAINT, ls=":", lw=0.8)
    panel.set(yscale="log", xlabel="trials", ylabel="median end-point error (mm)")


def draw_hand(panel: Axes, hands: pd.DataFrame, rule: str) -> None:
    """Draw where the hand went in each target's trial."""
    for target, of in hands.groupby("target"):
        colour = plt.get_cmap("twilight")(0.1 + 0.8 * target / 8)
        angle = 2 * np.pi * target / 8
        panel.plot(of["x"], of["y"], color=colour, lw=0.7)
        panel.plot(of["x"].iloc[-1], of["y"].iloc[-1], ".", ms=2.5, color=colour)
        there = DISTANCE_MM * np.cos(angle), DISTANCE_MM * np.sin(angle)
        panel.add_patch(plt.Circle(there, TOLERANCE_MM, fill=False, lw=0.5, color=colour))
    panel.set(xlim=(-150, 150), ylim=(-150, 150), aspect="equal", xticks=[], yticks=[])
    panel.spines[:].set_visible(False)
    panel.set_title(rule, fontsize=5.5)


if __name__ == "__main__":
    main()
