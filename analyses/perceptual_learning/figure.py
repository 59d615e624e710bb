"""The figure and the verdicts of this analysis, from the tables that measure.py has written.

``python analyses/perceptual_learning/figure.py``

Each verdict is of a difference paired by seed (networks of one seed start from the same weights), with its 95 %
t-interval over seeds: a claim holds where the interval is above 0, fails where it is below, and else is a tie.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brainalign.figures.style import COLOURS, FAINT, MARKERS, POINTS_PER_MM, TWO_COLUMNS, in_style, save
from brainalign.trajectory.weight_changes import centres, half_times

HERE = Path(__file__).parent
COARSE, FINE, TRAINED, ORTHOGONAL, DEEPEST = 12, 2, 45, 135, "blocks.3"
BEFORE, HEAD = "before", "head"
KEYS = ["rule", "train_precision", "seed"]


def main() -> None:
    """Write claims.csv, and the figure."""
    names = ("training", "changes", "transfer", "information", "tuning")
    tables = {name: pd.read_csv(HERE / f"{name}.csv") for name in names}
    tables["changes"] = tables["changes"].assign(network="convnet", task="orientation")
    found = quantities(tables)
    table = verdicts(found)
    table.to_csv(HERE / "claims.csv", index=False, float_format="%.4g")
    print(table.round(3).to_string(index=False))
    with in_style():
        draw(tables, found)


def quantities(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Give one number a run and quantity, all that the claims compare."""
    changes = tables["changes"].query("layer != @HEAD")
    last = changes[changes["step"] == changes["step"].max()]
    gain = _gain(tables["information"])
    by_run = pd.DataFrame(
        {
            "centre": _centre(changes),
            "centre_equally_far": _equally_far(changes)["centre_equally_far"],
            "lowest_share": last[last["index"] == 0].set_index(KEYS)["change"]
            / last.groupby(KEYS)["change"].sum(),
            "lead_of_higher": _lead(changes),
            "specificity": 1 - gain[ORTHOGONAL] / gain[TRAINED],
            "gain_difference": gain[TRAINED] - gain[ORTHOGONAL],
            "slope": _slope(tables["tuning"]),
        }
    )
    accuracy = tables["transfer"].query("test_orientation == @TRAINED")
    shifted = accuracy["test"].str.contains(",x=")
    own = accuracy["train_precision"] == accuracy["test_precision"]
    by_run["accuracy"] = accuracy[own & ~shifted].set_index(KEYS)["accuracy"]
    by_run["place_specificity"] = by_run["accuracy"] - accuracy[shifted].set_index(KEYS)["accuracy"]
    for precision in (COARSE, FINE):
        tested = accuracy[(accuracy["test_precision"] == precision) & ~shifted].set_index(KEYS)["accuracy"]
        by_run[f"at_{precision}"] = tested
    return by_run.reset_index()


def _centre(changes: pd.DataFrame) -> pd.Series:
    found = pd.concat(
        centres(part).assign(train_precision=precision)
        for precision, part in changes.groupby("train_precision")
    )
    return found[found["step"] == found["step"].max()].set_index(KEYS)["centre"]


def _equally_far(changes: pd.DataFrame) -> pd.DataFrame:
    """Give the centre of change, of coarse and fine learning, where both have moved equally far."""
    rows = []
    for (rule, seed), runs in changes[changes["train_precision"].isin([COARSE, FINE])].groupby(
        ["rule", "seed"]
    ):
        paths = {}
        for precision, run in runs.groupby("train_precision"):
            moved = run.groupby("step")["change"].sum().cummax().to_numpy()
            paths[precision] = moved, centres(run)["centre"].to_numpy()
        far = min(moved[-1] for moved, _ in paths.values())
        for precision, (moved, centre) in paths.items():
            at = float(np.interp(far, moved[1:], centre[1:]))
            rows.append({"rule": rule, "train_precision": precision, "seed": seed, "centre_equally_far": at})
    return pd.DataFrame(rows).set_index(KEYS)


def _lead(changes: pd.DataFrame) -> pd.Series:
    """Give the lowest block's half time less the deepest's: above 0 where higher layers move first."""
    found = pd.concat(
        half_times(part).assign(train_precision=precision)
        for precision, part in changes.groupby("train_precision")
    )
    times = found.set_index([*KEYS, "index"])["half_time"].unstack()
    return times[times.columns[0]] - times[times.columns[-1]]


def _gain(information: pd.DataFrame) -> pd.DataFrame:
    """Give by how much d′ of the deepest block has grown, for sides as far apart as trained, by orientation."""
    deepest = information[information["layer"] == DEEPEST]
    before = deepest[deepest["rule"] == BEFORE]
    after = deepest[deepest["test_precision"] == deepest["train_precision"]]
    at = ["seed", "test_orientation", "test_precision"]
    both = after.merge(before[[*at, "d_prime"]], on=at, suffixes=("", "_before"))
    gain = both.assign(gain=both["d_prime"] - both["d_prime_before"])
    return gain.set_index([*KEYS, "test_orientation"])["gain"].unstack()


def _slope(tuning: pd.DataFrame) -> pd.Series:
    """Give the change of the relative slope at the trained orientation, over all blocks, in percent."""
    mean = tuning.assign(total=tuning["relative_slope"] * tuning["n"]).groupby(KEYS, dropna=False)
    slope = mean["total"].sum() / mean["n"].sum()
    before = slope.loc[BEFORE].droplevel("train_precision")
    after = slope.drop(index=BEFORE)
    return 100 * (after / before.reindex(after.index.get_level_values("seed")).to_numpy() - 1)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Give the mean and half of the width of its 95 % t-interval."""
    values = values[np.isfinite(values)]
    error = values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean()), float(scipy.stats.t.ppf(0.975, len(values) - 1) * error)


def verdicts(found: pd.DataFrame) -> pd.DataFrame:
    """Hold each published claim against each rule's runs."""
    rows = []
    for rule, runs in found.groupby("rule", sort=False):
        coarse, fine = (runs[runs["train_precision"] == each].set_index("seed") for each in (COARSE, FINE))
        lost_fine = fine[f"at_{FINE}"] - coarse[f"at_{FINE}"]
        lost_coarse = coarse[f"at_{COARSE}"] - fine[f"at_{COARSE}"]
        claims = {
            "finer learning is centred lower (layers)": coarse["centre"] - fine["centre"],
            "the same, weights moved equally far (layers)": coarse["centre_equally_far"]
            - fine["centre_equally_far"],
            "finer learning gives the lowest layer a larger share": fine["lowest_share"]
            - coarse["lowest_share"],
            "higher layers move first, coarse (steps)": coarse["lead_of_higher"],
            "higher layers move first, fine (steps)": fine["lead_of_higher"],
            "finer learning is more specific (share of d′ gained)": fine["specificity"] - coarse["specificity"],
            "finer learning is more specific (d′ gained)": fine["gain_difference"] - coarse["gain_difference"],
            "finer learning is more specific to place (accuracy)": fine["place_specificity"]
            - coarse["place_specificity"],
            "fine to coarse loses less than coarse to fine (accuracy)": lost_fine - lost_coarse,
            "slopes at the trained orientation rise, fine (%)": fine["slope"],
            "slopes rise more in finer learning (%)": fine["slope"] - coarse["slope"],
        }
        for claim, values in claims.items():
            mean, half = interval(values.to_numpy())
            verdict = "holds" if mean > half else "fails" if mean < -half else "tie"
            rows.append(
                {"rule": rule, "claim": claim, "difference": mean, "low": mean - half, "high": mean + half}
                | {"n_seeds": len(values), "verdict": verdict}
            )
    return pd.DataFrame(rows)


def draw(tables: dict[str, pd.DataFrame], found: pd.DataFrame) -> None:
    """Draw six panels."""
    figure = Figure(figsize=(TWO_COLUMNS * POINTS_PER_MM / 72, 118 * POINTS_PER_MM / 72))
    panels = figure.subplots(2, 3)
    rules = list(dict.fromkeys(found["rule"]))
    _curves(panels[0, 0], tables["training"], rules)
    _shares(panels[0, 1], tables["changes"], rules)
    _by_precision(panels[0, 2], found, rules, "centre", "Mean block, by change")
    _by_precision(panels[1, 0], found, rules, "specificity", "1 − d′ gained at 135° / at 45°")
    _transfers(panels[1, 1], found, rules)
    _slopes(panels[1, 2], tables["tuning"], rules)
    handles = [
        panels[0, 2].plot(
            [], [], color=COLOURS[i], marker=MARKERS[i], markersize=3, label=rule.replace("_", " ")
        )[0]
        for i, rule in enumerate(rules)
    ]
    figure.legend(
        handles=handles, loc="upper center", ncols=len(rules), frameon=False, bbox_to_anchor=(0.5, 1.0)
    )
    figure.text(
        0.01,
        0.008,
        "Mean over 5 seeds and 95 % t-interval. Full lines 12°, dashed 2°. One interval, 45°, noise 0.2; "
        "convnet pretrained on CIFAR-10. Blocks without the read-out. Black: before.",
        color=FAINT,
        fontsize=5.5,
    )
    figure.subplots_adjust(left=0.075, right=0.99, top=0.9, bottom=0.13, wspace=0.36, hspace=0.5)
    save(figure, [HERE / "perceptual_learning.pdf"])


def _curves(axes: Axes, training: pd.DataFrame, rules: list[str]) -> None:
    for i, rule in enumerate(rules):
        for precision, dash in ((COARSE, "-"), (FINE, "--")):
            of_rule = training[(training["rule"] == rule) & (training["train_precision"] == precision)]
            mean = of_rule.groupby("step")["accuracy"].mean()
            axes.plot(mean.index, mean, dash, color=COLOURS[i])
    axes.set(xlabel="Training step", ylabel="Accuracy", title="Learning", ylim=(0.45, 1.02))


def _shares(axes: Axes, changes: pd.DataFrame, rules: list[str]) -> None:
    last = changes[(changes["step"] == changes["step"].max()) & (changes["layer"] != HEAD)]
    last = last.assign(share=last["change"] / last.groupby(KEYS)["change"].transform("sum"))
    for i, rule in enumerate(rules):
        for precision, dash in ((COARSE, "-"), (FINE, "--")):
            of_rule = last[(last["rule"] == rule) & (last["train_precision"] == precision)]
            mean = of_rule.groupby("index")["share"].mean()
            axes.plot(mean.index, mean, dash, color=COLOURS[i], marker=MARKERS[i], markersize=3)
    axes.set(xlabel="Block", ylabel="Share of relative change", title="Where weights change", xticks=range(4))


def _by_precision(axes: Axes, found: pd.DataFrame, rules: list[str], name: str, label: str) -> None:
    precisions = sorted(found["train_precision"].unique(), reverse=True)
    for i, rule in enumerate(rules):
        values = [
            interval(found.loc[(found["rule"] == rule) & (found["train_precision"] == each), name].to_numpy())
            for each in precisions
        ]
        place = np.arange(len(precisions)) + 0.07 * (i - (len(rules) - 1) / 2)
        mean, half = np.array(values).T
        axes.errorbar(place, mean, half, color=COLOURS[i], marker=MARKERS[i], markersize=3, elinewidth=0.8)
    ticks = [f"{each:g}°" for each in precisions]
    axes.set(xlabel="Trained precision, coarse to fine", ylabel=label, xticks=range(len(ticks)))
    axes.set_xticklabels(ticks)
    axes.set_title({"centre": "Centre of change", "specificity": "Specificity to orientation"}[name])


def _transfers(axes: Axes, found: pd.DataFrame, rules: list[str]) -> None:
    pairs = [(COARSE, COARSE), (FINE, COARSE), (COARSE, FINE), (FINE, FINE)]
    for i, rule in enumerate(rules):
        values = [
            interval(
                found.loc[
                    (found["rule"] == rule) & (found["train_precision"] == trained), f"at_{tested}"
                ].to_numpy()
            )
            for trained, tested in pairs
        ]
        place = np.arange(len(pairs)) + 0.12 * (i - (len(rules) - 1) / 2)
        mean, half = np.array(values).T
        axes.errorbar(
            place, mean, half, color=COLOURS[i], marker=MARKERS[i], markersize=3, linestyle="", elinewidth=0.8
        )
    axes.axhline(0.5, color=FAINT, linewidth=0.6, linestyle=":")
    axes.set(ylabel="Accuracy, own read-out", title="Transfer between precisions", xticks=range(len(pairs)))
    axes.set_xticklabels([f"{trained}°→{tested}°" for trained, tested in pairs])
    axes.set_xlabel("Trained → tested")


def _slopes(axes: Axes, tuning: pd.DataFrame, rules: list[str]) -> None:
    """Draw relative slopes at 45 degrees by preferred orientation, before and after fine learning."""
    bins = sorted(tuning["distance"].unique(), key=lambda each: float(each.strip("([]").split(",")[0]))
    for i, (rule, colour) in enumerate([(BEFORE, "black"), *zip(rules, COLOURS, strict=False)]):
        part = tuning[(tuning["rule"] == rule) & ((tuning["train_precision"] == FINE) | (rule == BEFORE))]
        weighted = part.assign(total=part["relative_slope"] * part["n"]).groupby(["seed", "distance"])
        slope = (weighted["total"].sum() / weighted["n"].sum()).unstack()[bins]
        mean, half = np.array([interval(slope[each].to_numpy()) for each in bins]).T
        marker = "x" if rule == BEFORE else MARKERS[i - 1]
        axes.errorbar(
            np.arange(len(bins)) + 0.07 * (i - 2),
            100 * mean,
            100 * half,
            color=colour,
            marker=marker,
            markersize=3,
            elinewidth=0.8,
        )
    axes.set(
        xlabel="Degrees from preferred to trained",
        ylabel="% of maximum a degree",
        xticks=range(len(bins)),
    )
    axes.set_xticklabels(["0–15", "15–30", "30–60", "60–90"])
    axes.set_title("Slope at 45° after 2°")


if __name__ == "__main__":
    main()
