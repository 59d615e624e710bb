"""What the commands print: tables on standard output, messages and errors on standard error."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console
from rich.table import Table

output = Console()
errors = Console(stderr=True)

COMMITTED = "committed"


def number(value: float) -> str:
    """Three decimals, or a dash for a value that is not defined.

    Examples
    --------
    >>> number(0.12345), number(float("nan"))
    ('0.123', '—')
    """
    return f"{value:.3f}" if np.isfinite(value) else "—"


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> None:
    """Print a table; columns after the first that hold numbers are set to the right."""
    table = Table(title=title, caption=caption or None, title_justify="left", caption_justify="left")
    for place, column in enumerate(columns):
        numeric = place > 0 and all(_is_number(row[place]) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    output.print(table)


def _is_number(text: str) -> bool:
    return not text.strip("0123456789.,–—-−[] ")


def show_scores(scores: xr.Dataset, every_layer: bool) -> None:
    """Print scores, a table for each recording, region and metric."""
    table = scores.to_dataframe().reset_index(drop=True)
    simulated = "SIMULATED · " if scores.attrs.get("simulated") else ""
    for (recording, region, metric), rows in table.groupby(["recording", "region", "metric"], sort=False):
        kept = rows if every_layer else rows[rows["layer"].isin([COMMITTED, ""])]
        lines = [
            [
                _name(row),
                _layer(row, rows),
                number(row["raw"]),
                f"[{number(row['low'])}, {number(row['high'])}]",
                number(row["score"]),
                f"{row['layer_units']:,}" if row["layer_units"] >= 0 else "—",
                number(row["participation_ratio"]),
            ]
            for _, row in kept.iterrows()
        ]
        columns = ["network", "layer", "raw", "95 % interval", "score", "layer units", "dimensions"]
        show(f"{simulated}{recording} · {region} · {metric}", columns, lines, _caption(scores, rows, metric))


def _name(row: pd.Series) -> str:
    return f"{row['network']}:{row['seed']}" if row["seed"] >= 0 else row["network"]


def _layer(row: pd.Series, rows: pd.DataFrame) -> str:
    """Name the layer, and for a committed one how many layers it was chosen from, and which."""
    if row["layer"] != COMMITTED:
        return row["layer"]
    chosen = row["note"].partition("chosen on other stimuli: ")[2].partition(";")[0]
    return f"{COMMITTED}: {chosen.partition(', ')[0]}"


def _caption(scores: xr.Dataset, rows: pd.DataFrame, metric: str) -> str:
    import json

    first = rows.iloc[0]
    label = json.loads(scores.attrs["metric_labels"]).get(metric, metric)
    units = f", {first['n_units']} units" if first["n_units"] >= 0 else ""
    masked = f" ({first['n_units_masked']} left out)" if first["n_units_masked"] else ""
    ceiling = f"ceiling {number(first['ceiling'])}"
    if np.isfinite(first["ceiling_lower"]):
        ceiling = f"ceiling {number(first['ceiling_lower'])}–{number(first['ceiling'])}"
    elif not np.isfinite(first["ceiling"]):
        ceiling = next((part for part in first["note"].split("; ") if "no ceiling" in part), first["note"])
    over = f", over {first['resampled']}" if first["resampled"] else ""
    return (
        f"raw: {label}; {first['n_stimuli']} stimuli{units}{masked}; {ceiling}; "
        f"{scores.attrs['interval']}{over}"
    )


def show_differences(differences: pd.DataFrame, simulated: bool) -> None:
    """Print the paired differences of the first network with each other one, by region and metric."""
    if not len(differences):
        return
    mark = "SIMULATED · " if simulated else ""
    lines = [
        [
            f"{row['recording']} · {row['region']}",
            row["metric"],
            f"{row['network']} − {row['other']}" + _seeds(row),
            number(row["difference"]),
            f"[{number(row['low'])}, {number(row['high'])}]",
            "yes" if row["better"] else "worse" if row["high"] < 0 else "no",
        ]
        for _, row in differences.iterrows()
    ]
    columns = ["region", "metric", "difference of", "raw", "95 % interval", "better"]
    caption = (
        "Each network at the layer committed on other stimuli; better: the interval of the paired "
        "difference lies above 0."
    )
    show(f"{mark}Paired differences", columns, lines, caption)


def _seeds(row: pd.Series) -> str:
    return f" (mean of {row['other_seeds']} seeds)" if row["other_seeds"] > 1 else ""
