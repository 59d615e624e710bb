"""Stages, order, parting from accuracy, and rules compared at matched steps and at matched accuracy.

``python analyses/trajectories/analyse.py [FOLDER…]``

With the folders that ``brainalign run`` left, their tables are copied beside this file first, under the names
of their experiments: one may hold further rules, so that nothing is computed again. All of them are joined.
"""

import filecmp
import shutil
import sys
import tomllib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from threadpoolctl import threadpool_limits

import brainalign as ba
from brainalign.trajectory import dissociation, order_of, score_curves, training_curves
from brainalign.trajectory.curves import Curve
from brainalign.trajectory.matched import (
    at_performance,
    at_step,
    compared_at_performance,
    compared_at_steps,
)
from brainalign.trajectory.seed_tests import over_seeds

HERE = Path(__file__).parent
LAYERS = ("blocks.0", "blocks.1", "blocks.2", "blocks.3")
DEEPEST = LAYERS[-1]
RIDGE = "ridge:n_alphas=11,n_splits=1"
V4 = ("cowley2023/190928", "cowley2023/201025", "cowley2023/210325", "cowley2023/210621")
REGIONS = {
    "macaque V4, ridge": (V4, "V4", RIDGE),
    "macaque V4, RSA": (V4, "V4", "rsa"),
    "macaque V4, CKA": (V4, "V4", "cka"),
    "macaque IT": (("kriegeskorte2008",), "monkey_IT", "rsa"),
    "human IT": (("cichy2014",), "IT", "rsa"),
    "human EVC": (("cichy2014",), "EVC", "rsa"),
}
"""Regions: the recordings whose raw scores are averaged (of V4 four days), the region, the metric."""
ALL = ("macaque V4, ridge", "macaque IT", "human IT", "human EVC")
ALL_V4 = ("macaque V4, ridge", "macaque V4, RSA", "macaque V4, CKA")
ERRORS = (
    "backprop",
    "feedback_alignment",
    "direct_feedback_alignment",
    "kolen_pollack",
    "difference_target_propagation",
    "node_perturbation:samples=1",
    "pepita",
    "forward_forward",
    "local_pred",
)
ACTIVITY = (
    "backprop",
    "backprop, tanh",
    "predictive_coding:rate=0.2,limit=10",
    "segregated_dendrites, tanh",
    "burstprop",
    "wake_sleep",
    "boltzmann_restricted",
    "softhebb",
    "krotov_hopfield",
)
FIGURES = {
    "matched": (ALL, ERRORS),
    "matched_v4": (ALL_V4, ERRORS),
    "matched_activity": (ALL, ACTIVITY),
    "matched_activity_v4": (ALL_V4, ACTIVITY),
}
"""Figures: the regions of their panels, and their rules."""
STEPS = (41, 158, 607, 2340)
LEVELS = (0.2, 0.3, 0.4, 0.5, 0.6)
KEPT = [
    "recording", "region", "layer", "metric", "network", "task", "rule", "seed", "checkpoint",
    "raw", "score", "ceiling", "n_stimuli", "n_units", "participation_ratio", "note",
]  # fmt: skip
GZIP = {"method": "gzip", "mtime": 0}
"""The same bytes at any time."""
LABELS = ["recording", "region", "subject", "network", "layer", "metric", "task", "rule"]


def main() -> None:
    """Copy what folders hold, then write every table and figure."""
    for folder in sys.argv[1:]:
        copy_tables(Path(folder))
    scores, training = joined("scores", ".csv.gz"), joined("training", ".csv")
    scores = scores.assign(subject="")
    for name in (*LABELS, "note"):
        scores[name] = scores[name].fillna("").astype(object)
    curves = score_curves(xr.Dataset.from_dataframe(scores[scores["layer"] != "committed"]))
    accuracy = {
        each.labels["rule"]: each for each in training_curves(training) if each.labels["quantity"] == "accuracy"
    }
    write(stages_of(scores, training), "stages")
    write(order_in(curves), "order")
    write(parted(curves, accuracy), "dissociation")
    steps, levels, points = matched(scores, accuracy)
    write(steps, "at_matched_steps", ".csv.gz")
    write(levels, "at_matched_accuracy", ".csv.gz")
    controls = pd.DataFrame(controls_of(scores))
    for name, (panels, rules) in FIGURES.items():
        shown, beside = (table[table["panel"].isin(panels)] for table in (points, controls))
        shown = shown[shown["rule"].isin(rules)].sort_values(
            "rule", key=lambda each, of=rules: each.map(of.index), kind="stable"
        )
        ba.figures.matched_rules(shown, f"raw score of {DEEPEST}", HERE / f"{name}.pdf", controls=beside)


def copy_tables(folder: Path) -> None:
    """Copy an experiment's tables, the scores without columns that hold nothing here."""
    name = tomllib.loads((folder / "experiment.toml").read_text())["name"]
    scores = pd.read_csv(folder / "scores.csv")
    # A rule that diverges at every rate of the search has no scores.
    trained = ~scores["note"].fillna("").str.startswith("failed")
    file = HERE / f"scores.{name}.csv.gz"
    scores.loc[trained, KEPT].to_csv(file, index=False, float_format="%.4g", compression=GZIP)
    for table in ("training", "search"):
        new = folder / f"{table}.csv"
        # Further scores of the same runs bring the same tables of training.
        if not any(filecmp.cmp(new, known, shallow=False) for known in HERE.glob(f"{table}.*.csv")):
            shutil.copy(new, HERE / f"{table}.{name}.csv")


def joined(table: str, ending: str) -> pd.DataFrame:
    """Give all tables of a kind as one.

    A rule on other units than the network's own is named with them; the accuracy of one whose outputs learn
    nothing is that of a read-out fitted apart.
    """
    found = pd.concat(
        [pd.read_csv(file) for file in sorted(HERE.glob(f"{table}.*{ending}"))], ignore_index=True
    )
    units = found["network"].str.extract(r"activation=(\w+)")[0]
    found["rule"] = found["rule"].where(units.isna(), found["rule"] + ", " + units)
    if "readout_accuracy" in found:
        found["accuracy"] = found["readout_accuracy"].fillna(found["accuracy"])
    return found


def write(table: pd.DataFrame, name: str, ending: str = ".csv") -> None:
    """Write a table beside this file, and say what it found."""
    zipped = GZIP if ending.endswith(".gz") else None
    table.to_csv(HERE / f"{name}{ending}", index=False, float_format="%.4g", compression=zipped)
    verdicts = table["verdict"].str.partition(":")[0].value_counts()
    print(f"\n{name}: {len(table)} rows\n{verdicts.to_string(header=False)}")


def stages_of(scores: pd.DataFrame, training: pd.DataFrame) -> pd.DataFrame:
    """Seek stages in every curve, and draw those of the deepest block and of accuracy."""
    kept = scores[scores["layer"].isin(LAYERS) & (scores["checkpoint"] >= 0)]
    performance = training[["network", "task", "rule", "seed", "step", "loss", "accuracy"]]
    tables: list[xr.Dataset | pd.DataFrame] = [performance]
    tables += [xr.Dataset.from_dataframe(part) for _, part in kept.groupby(["rule", "layer"], sort=False)]
    with ProcessPoolExecutor() as pool:
        found = pd.concat(pool.map(_stages, tables), ignore_index=True)
    shown = found[(found["n_stages"] > 0) & (found["layer"].isin([DEEPEST, ""]) | found["layer"].isna())]
    if len(shown):
        # The rule names its units, and the layer is the same: what is left fits beside the chart.
        named = shown.drop(columns=["network", "layer"]).replace({"metric": {RIDGE: "ridge"}})
        ba.figures.stage_chart(named, HERE / "stages.pdf")
    return found


def _stages(table: xr.Dataset | pd.DataFrame) -> pd.DataFrame:
    with threadpool_limits(1):
        return ba.stage_table(ba.find_stages(table))


def order_in(curves: list[Curve]) -> pd.DataFrame:
    """Compare when layers do half of their change in each region, and regions at the deepest block."""
    kept = [
        each for each in curves if each.labels["layer"] in LAYERS and each.labels["metric"] in (RIDGE, "rsa")
    ]
    groups: dict[tuple[str, ...], list[Curve]] = {}
    for each in kept:
        label = each.labels
        groups.setdefault((label["rule"], label["recording"], label["region"], label["metric"]), []).append(
            each
        )
        if label["layer"] == DEEPEST and (label["metric"] == RIDGE or label["recording"] not in V4):
            groups.setdefault((label["rule"], "all", DEEPEST, ""), []).append(each)
    return pd.concat(
        [
            order_of(each).assign(rule=rule, within=" ".join(rest).strip())
            for (rule, *rest), each in groups.items()
            if len(each) > 1
        ],
        ignore_index=True,
    )


def parted(curves: list[Curve], accuracy: dict[str, Curve]) -> pd.DataFrame:
    """Ask where brain scores of the deepest block part from accuracy."""
    tables = [
        dissociation(accuracy[each.labels["rule"]], each).assign(
            **{name: each.labels[name] for name in ("rule", "recording", "region", "metric")}
        )
        for each in curves
        if each.labels["layer"] == DEEPEST
    ]
    return pd.concat(tables, ignore_index=True)


def matched(
    scores: pd.DataFrame, accuracy: dict[str, Curve]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Compare rules at the same steps and at the same accuracy, by region and block; give points to draw."""
    at_steps, at_levels, points = [], [], []
    for name, (recordings, region, metric) in REGIONS.items():
        for layer in LAYERS:
            brain = {rule: region_curve(scores, rule, recordings, region, metric, layer) for rule in accuracy}
            labels = {"region": name, "layer": layer}
            at_steps.append(compared_at_steps(brain, STEPS).assign(**labels))
            at_levels.append(compared_at_performance(accuracy, brain, LEVELS).assign(**labels))
            if layer == DEEPEST:
                points += drawn(name, accuracy, brain)
    return *(pd.concat(each, ignore_index=True) for each in (at_steps, at_levels)), pd.DataFrame(points)


def controls_of(scores: pd.DataFrame) -> list[dict]:
    """Give what pixels and the Gabor bank score in each region."""
    rows = scores[scores["network"].isin(("pixels", "gabor")) & (scores["layer"] != "committed")]
    return [
        {"panel": panel, "name": name, "value": float(part["raw"].mean())}
        for panel, (recordings, region, metric) in REGIONS.items()
        for name, part in rows[
            rows["recording"].isin(recordings) & (rows["region"] == region) & (rows["metric"] == metric)
        ].groupby("network")
    ]


def region_curve(
    scores: pd.DataFrame, rule: str, recordings: tuple[str, ...], region: str, metric: str, layer: str
) -> Curve:
    """Average raw scores over recordings, for each seed and checkpoint."""
    rows = scores[
        scores["recording"].isin(recordings)
        & (scores["region"] == region)
        & (scores["metric"] == metric)
        & (scores["layer"] == layer)
        & (scores["rule"] == rule)
        & (scores["checkpoint"] >= 0)
    ]
    wide = rows.pivot_table(index="seed", columns="checkpoint", values="raw", aggfunc="mean").sort_index(axis=1)
    return Curve(
        {"region": region}, wide.to_numpy(float), wide.columns.to_numpy(float), tuple(map(int, wide.index))
    )


def drawn(panel: str, accuracy: dict[str, Curve], brain: dict[str, Curve]) -> list[dict]:
    """Give the points of a region's panels."""
    points = []
    for rule, curve in brain.items():
        places = [("step", float(step), at_step(curve, step)) for step in curve.steps]
        places += [
            ("performance", level, at_performance(accuracy[rule], curve, level))
            for level in np.arange(0.12, 0.75, 0.02).round(2).tolist()
        ]
        for by, place, values in places:
            found = over_seeds(values)
            if found["n_seeds"] == len(curve.seeds):
                ends = {"mean": found["estimate"], "low": found["low"], "high": found["high"]}
                points.append({"panel": panel, "by": by, "place": place, "rule": rule} | ends)
    return points


if __name__ == "__main__":
    main()
