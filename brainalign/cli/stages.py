"""`brainalign stages`: when learning curves leave one plateau for the next."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import track

from brainalign.cli.terminal import errors, output, show
from brainalign.errors import BrainalignError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from brainalign.trajectory.curves import Curve

FIGURES = (".pdf", ".png", ".svg")
MOST_IN_FULL = 40


def stages(
    source: Annotated[
        Path, typer.Argument(help="A run's or an experiment's folder, a table of scores, or a training.csv.")
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(help="LABEL=GLOB, such as layer='blocks.*', metric=rsa, quantity=accuracy."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the table here, as .csv or .nc.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the stages here, as .pdf and .png.")] = None,
) -> None:
    """Find stages in loss, accuracy and brain scores over training; tell where there are none.

    A stage is a transition between plateaus that no constant, line, exponential or power law, in steps or in
    their logarithm, explains. It takes 24 checkpoints, and five seeds for intervals.
    """
    from brainalign.trajectory.find_stages import stage_table, together
    from brainalign.trajectory.stages import stages_of

    for path, endings in ((out, (".csv", ".nc")), (figure, FIGURES)):
        if path is not None and path.suffix not in endings:
            raise BrainalignError(f"{path} cannot be written; let the name end in {' or '.join(endings)}.")
    curves = _chosen(list(_curves(source)), only or [])
    tracked = track(curves, "stages", console=errors, transient=True, disable=len(curves) < 5)
    found = together(curves, [stages_of(each.values[:, None], each.steps) for each in tracked])
    table = stage_table(found)
    _show(table)
    written = []
    if out is not None and out.suffix == ".nc":
        found.to_netcdf(out, engine="h5netcdf")
        written.append(out)
    elif out is not None:
        table.to_csv(out, index=False, float_format="%.6g")
        written.append(out)
    if figure is not None:
        from brainalign.figures import stage_chart

        stage_chart(table, figure)
        written.append(figure)
    for path in written:
        output.print(f"wrote {path}", highlight=False)


def _curves(source: Path) -> "Iterator[Curve]":
    """Give the curves of what a path names."""
    import pandas as pd

    from brainalign.compare import load_scores
    from brainalign.trajectory.curves import score_curves, training_curves

    if not source.exists():
        raise BrainalignError(
            f"There is nothing at {source}. Give a folder that `brainalign train` or `brainalign run` wrote, "
            "or a table of scores over training."
        )
    scores = source / "scores.nc" if (source / "scores.nc").exists() else source / "scores.csv"
    paths = (
        [path for path in (source / "training.csv", scores) if path.exists()] if source.is_dir() else [source]
    )
    if not paths:
        raise BrainalignError(f"{source} holds neither a training.csv nor scores; it is no run's folder.")
    for path in paths:
        if path.suffix == ".nc":
            yield from score_curves(load_scores(path))
        elif path.suffix != ".csv":
            raise BrainalignError(
                f"{path} is neither a table of scores (.nc, .csv) nor one of training (.csv)."
            )
        elif "raw" in (table := pd.read_csv(path)):
            yield from score_curves(_texts(table))
        else:
            yield from training_curves(table)


def _texts(table: "pd.DataFrame") -> "xr.Dataset":
    """Make a table of scores of one that was read from CSV, where an empty label reads as NaN."""
    import xarray as xr

    from brainalign.compare.scores import LABELS

    texts = {name: table[name].astype(object).where(table[name].notna(), "") for name in LABELS}
    return xr.Dataset.from_dataframe(table.assign(**texts))


def _chosen(curves: "list[Curve]", only: list[str]) -> "list[Curve]":
    """Keep the curves whose labels match every pattern."""
    from brainalign.trajectory.curves import LABELS

    for pattern in only:
        label, _, glob = pattern.partition("=")
        if label not in LABELS or not glob:
            raise BrainalignError(f"--only {pattern!r} is not LABEL=GLOB with a label of {', '.join(LABELS)}.")
        kept = [curve for curve in curves if fnmatchcase(curve.labels[label], glob)]
        if not kept:
            there = sorted({curve.labels[label] for curve in curves})
            raise BrainalignError(
                f"No curve has {pattern}; there are {', '.join(filter(None, there)) or 'none'}."
            )
        curves = kept
    return curves


def _show(table: "pd.DataFrame") -> None:
    """Print a row a stage, then the curves without stages."""
    from brainalign.trajectory.stages import MEASURES, NO_STAGE, NOT_TESTABLE

    rows = table.to_dict("records")
    names = ("rule", "task", "network", "region", "layer", "metric", "quantity")
    labels = [name for name in names if name in table and len(set(table[name])) > 1] or ["quantity"]

    def curve(row: dict) -> str:
        return ", ".join(str(row[name]) for name in labels if row[name])

    found = [(curve(row), *(_with_interval(row, each) for each in MEASURES)) for row in rows if row["n_stages"]]
    if found:
        caption = "steps; width: from the onset, a tenth of the gain, to nine tenths"
        show("Stages", ("curve", "onset", "half-time", "width", "gain"), found, caption)
    for verdict in (NO_STAGE, NOT_TESTABLE):
        without = [row for row in rows if row["verdict"] == verdict]
        if without:
            output.print(
                f"{verdict}: {len(without)} of {len({curve(row) for row in rows})} curves", highlight=False
            )
        for row in without[:MOST_IN_FULL]:
            output.print(f"  {curve(row)}: {row['reason']}", highlight=False, soft_wrap=True)
    intervals = sorted(set(table["interval"]) - {"none: no stage"})
    if intervals:
        output.print(f"intervals: {'; '.join(intervals)}", highlight=False)


def _with_interval(row: dict, measure: str) -> str:
    value, low, high = (float(row[name]) for name in (measure, f"{measure}_low", f"{measure}_high"))
    return f"{value:.3g}" if low != low else f"{value:.3g} [{low:.3g}, {high:.3g}]"
