"""Scores and differences as tables on the terminal."""

import json
from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.cli.terminal import show

COMMITTED = "committed"
LEFT_OUT = "conditions left out"

Row = dict[str, Any]


def rows_of(scores: xr.Dataset) -> list[Row]:
    """Make a dictionary of each row of the Scores table."""
    return scores.to_dataframe().reset_index(drop=True).to_dict("records")


def show_scores(scores: xr.Dataset, every_layer: bool) -> None:
    """Print scores, a table for each recording, region and metric.

    Of a network with several layers the committed one is shown, and with `every_layer` the others too.
    """
    simulated = "SIMULATED · " if scores.attrs.get("simulated") else ""
    labels = json.loads(scores.attrs["metric_labels"])
    order = sorted(rows_of(scores), key=lambda row: list(labels).index(row["metric"]))
    rules = {row["rule"] for row in order if row["checkpoint"] >= 0}
    drawn = any(np.isfinite(row["chance"]) for row in order)
    columns = [name for name in _CELLS if _tells(name, rules) and (drawn or name not in OF_NULLS)]
    for (recording, region, metric), group in _grouped(order, "recording", "region", "metric"):
        lines = [[_CELLS[name](row) for name in columns] for row in _rows_to_show(group, every_layer)]
        title = f"{simulated}{recording} · {region} · {metric}"
        caption = _caption(group[0], labels[metric], scores.attrs["interval"])
        if "units" in columns:
            caption += "; units and dimensions (participation ratio) are the layer's"
        show(title, columns, lines, caption)


def show_differences(differences: pd.DataFrame, simulated: bool) -> None:
    """Print the paired differences between networks, by region and metric."""
    if not len(differences):
        return
    mark = "SIMULATED · " if simulated else ""
    columns = ["difference of", "raw", "95 % interval", "p", "p (Holm)", "better"]
    rows: list[Row] = differences.to_dict("records")
    for (recording, region, metric), group in _grouped(rows, "recording", "region", "metric"):
        lines = [
            [
                f"{row['network']} − {row['other']}{_seeds(row)}",
                number(row["difference"]),
                f"[{number(row['low'])}, {number(row['high'])}]",
                probability(row["p"]),
                probability(row["p_holm"]),
                "yes" if row["better"] else "worse" if row["p"] < 0.05 else "no",
            ]
            for row in group
        ]
        caption = (
            "Each network at the layer committed on other stimuli. Better: the 95 % interval of the paired "
            "difference lies above 0; worse: below. p: two-sided, of this pair alone; Holm: corrected for "
            f"the {len(group)} pairs of this table"
        )
        show(f"{mark}Paired differences · {recording} · {region} · {metric}", columns, lines, caption)


def number(value: float) -> str:
    """Write three decimals, or a dash for a value that is not defined.

    Examples
    --------
    >>> number(0.12345), number(float("nan"))
    ('0.123', '—')
    """
    return f"{value:.3f}" if np.isfinite(value) else "—"


def probability(p: float) -> str:
    """Write a p value to three decimals, what is smaller as ``<0.001``, or a dash where it is not defined.

    Examples
    --------
    >>> probability(0.0421), probability(1e-9), probability(float("nan"))
    ('0.042', '<0.001', '—')
    """
    return "<0.001" if p < 0.001 else number(p)


def _grouped(rows: list[Row], *keys: str) -> list[tuple[tuple, list[Row]]]:
    """Part rows by some of their columns, groups in the order of their first rows."""
    groups: dict[tuple, list[Row]] = {}
    for key, part in groupby(rows, key=lambda row: tuple(row[key] for key in keys)):
        groups.setdefault(key, []).extend(part)
    return list(groups.items())


def _rows_to_show(rows: list[Row], every_layer: bool) -> list[Row]:
    kept = []
    for _, group in _grouped(rows, "network", "task", "rule", "seed", "checkpoint"):
        single = len(group) <= 2 or all(row["layer"] != COMMITTED for row in group)
        kept += [row for row in group if (row["layer"] == COMMITTED) != single or (every_layer and not single)]
    return kept


def _tells(column: str, rules: set[str]) -> bool:
    """Say whether a column is shown: in a table of checkpoints what tells them apart, else what layers are."""
    if column == "rule":
        return len(rules) > 1
    if column in ("units", "dimensions"):
        return not rules
    return column != "step" or bool(rules)


def _layer(row: Row) -> str:
    """Name the layer; of a committed one the layer that was chosen most often."""
    if row["layer"] != COMMITTED:
        return row["layer"]
    chosen = row["note"].partition("chosen on other stimuli: ")[2].partition(";")[0]
    return f"{COMMITTED}: {chosen.partition(', ')[0]}"


_CELLS: dict[str, Callable[[Row], str]] = {
    "network": lambda row: f"{row['network']}:{row['seed']}" if row["seed"] >= 0 else row["network"],
    "rule": lambda row: row["rule"] or "—",
    "step": lambda row: str(row["checkpoint"]) if row["checkpoint"] >= 0 else "—",
    "layer": _layer,
    "raw": lambda row: number(row["raw"]),
    "95 % interval": lambda row: f"[{number(row['low'])}, {number(row['high'])}]",
    "chance": lambda row: number(row["chance"]),
    "p": lambda row: probability(row["p_value"]),
    "score": lambda row: number(row["score"]),
    "units": lambda row: f"{row['layer_units']:,}" if row["layer_units"] >= 0 else "—",
    "dimensions": lambda row: (
        f"{row['participation_ratio']:.1f}" if np.isfinite(row["participation_ratio"]) else "—"
    ),
}
"""What the columns of a table of scores say of a row."""

OF_NULLS = ("chance", "p")
"""Columns that are shown where null distributions were drawn."""


def _caption(row: Row, label: str, interval: str) -> str:
    """Say what the numbers of a table are."""
    units = f", {row['n_units']} recorded units" if row["n_units"] >= 0 else ""
    masked = f" ({row['n_units_masked']} left out)" if row["n_units_masked"] else ""
    ceiling = f"ceiling {number(row['ceiling'])}"
    if np.isfinite(row["ceiling_lower"]):
        ceiling = f"ceiling {number(row['ceiling_lower'])}–{number(row['ceiling'])}"
    elif not np.isfinite(row["ceiling"]):
        ceiling = next((part for part in row["note"].split("; ") if "no ceiling" in part), row["note"])
    over = f" over {row['resampled']}" if row["resampled"] else ""
    if row["resampled"] == LEFT_OUT or np.isfinite(row["chance"]):
        return (
            f"raw: {label}; {row['n_stimuli']} conditions{units}; {ceiling or 'no ceiling'}; 95 % interval "
            "leaves out one condition at a time; chance: mean of the null distribution, p: share of it as high "
            "as raw"
        )
    return (
        f"raw: {label}; {row['n_stimuli']} stimuli{units}{masked}; {ceiling}; {interval}{over}; committed: the "
        "layer that does best on other stimuli"
    )


def _seeds(row: Row) -> str:
    """Say of how many seeds a mean was taken."""
    seeds = max(row["seeds"], row["other_seeds"])
    return f" ({seeds} seeds)" if seeds > 1 else ""
