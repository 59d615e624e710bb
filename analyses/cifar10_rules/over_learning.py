"""Stages, order of layers and regions, and parting from accuracy, in the committed tables of this experiment.

``python analyses/cifar10_rules/over_learning.py`` (three minutes)

Writes ``stages.csv``, ``order.csv`` and ``dissociation.csv`` beside itself, and ``stages.png`` of the stages.
"""

from itertools import groupby
from pathlib import Path

import pandas as pd
import xarray as xr

import brainalign as ba
from brainalign.trajectory import dissociation, order_of, score_curves, training_curves
from brainalign.trajectory.curves import Curve

HERE = Path(__file__).parent
DEEPEST = "blocks.3"


def main() -> None:
    """Read the tables, and write what is found."""
    scores = pd.read_csv(HERE / "scores.csv", keep_default_na=True)
    texts = scores.select_dtypes(exclude="number").columns
    scores[texts] = scores[texts].astype(object).where(scores[texts].notna(), "")
    curves = score_curves(xr.Dataset.from_dataframe(scores))
    training = training_curves(pd.read_csv(HERE / "training.csv"))
    stages = pd.concat([ba.stage_table(ba.find_stages(each)) for each in tables(scores)], ignore_index=True)
    stages.to_csv(HERE / "stages.csv", index=False, float_format="%.6g")
    found = stages[stages["n_stages"] > 0]
    if len(found):
        ba.figures.stage_chart(found, HERE / "stages.png")
    print(stages["verdict"].value_counts().to_string())
    order = pd.concat([*layers_in_order(curves), *regions_in_order(curves)], ignore_index=True)
    order.to_csv(HERE / "order.csv", index=False, float_format="%.6g")
    print(order[~order["verdict"].isin(["tie"])].round(3).to_string())
    accuracy = {each.labels["rule"]: each for each in training if each.labels["quantity"] == "accuracy"}
    parted = [
        dissociation(accuracy[each.labels["rule"]], each).assign(
            rule=each.labels["rule"], recording=each.labels["recording"], region=each.labels["region"]
        )
        for each in curves
        if each.labels["layer"] == DEEPEST
    ]
    table = pd.concat(parted, ignore_index=True)
    table.to_csv(HERE / "dissociation.csv", index=False, float_format="%.6g")
    print(table[table["verdict"] == "dissociated"].round(3).to_string())


def tables(scores: pd.DataFrame) -> list[xr.Dataset | pd.DataFrame]:
    """Give all tables whose curves stages are sought in."""
    return [xr.Dataset.from_dataframe(scores), pd.read_csv(HERE / "training.csv")]


def layers_in_order(curves: list[Curve]) -> list[pd.DataFrame]:
    """Compare the blocks of each rule in each region."""
    return _compared([each for each in curves if each.labels["layer"].startswith("blocks")], "region")


def regions_in_order(curves: list[Curve]) -> list[pd.DataFrame]:
    """Compare the regions of each rule at the deepest block."""
    return _compared([each for each in curves if each.labels["layer"] == DEEPEST], "layer")


def _compared(curves: list[Curve], within: str) -> list[pd.DataFrame]:
    def key(curve: Curve) -> tuple[str, ...]:
        label = curve.labels
        return (label["rule"], label[within], *([label["recording"]] if within == "region" else []))

    groups = [list(part) for _, part in groupby(sorted(curves, key=key), key)]
    return [
        order_of(each).assign(rule=each[0].labels["rule"], within=each[0].labels[within])
        for each in groups
        if len(each) > 1
    ]


if __name__ == "__main__":
    main()
