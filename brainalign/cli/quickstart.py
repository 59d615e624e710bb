"""`brainalign quickstart`: the whole flow on simulated data whose true answer is known."""

import sys
from pathlib import Path
from typing import Annotated

import typer
import xarray as xr

from brainalign.cli.score_tables import Row, rows_of, show_differences, show_scores
from brainalign.cli.terminal import output

NETWORKS = ("convnet@untrained:7", "gabor", "pixels")
TRUE_NETWORKS = {"simulated_V1": ("gabor", -1), "simulated_IT": ("convnet@untrained", 7)}
TRUE_LAYER = "blocks.3"


def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for the table and the figure.")] = Path(
        "brainalign-quickstart"
    ),
) -> None:
    """Score three networks on a SIMULATED recording and check that the known answer is found."""
    from brainalign.compare import evaluate
    from brainalign.figures import layer_profile

    output.print("SIMULATED recording: three regions made from known models. No brain was recorded.\n")
    evaluation = evaluate(list(NETWORKS), "simulated", ["ridge"])
    written = [*evaluation.save(out / "scores.nc"), out / "profile.pdf", out / "profile.png"]
    layer_profile(evaluation.scores, path=out / "profile.pdf")
    show_scores(evaluation.scores, every_layer=True)
    show_differences(evaluation.differences, simulated=True)
    for path in written:
        output.print(f"wrote {path}", highlight=False)
    found = known_answers(evaluation.scores)
    for statement, holds in found.items():
        output.print(
            f"{'[green]found[/]' if holds else '[bold red]NOT FOUND[/]'}: {statement}", highlight=False
        )
    if not all(found.values()):
        sys.exit(1)
    output.print("\nNext: brainalign list recordings; brainalign score NETWORK --on RECORDING", highlight=False)


def known_answers(scores: xr.Dataset) -> dict[str, bool]:
    """Say of each thing that the simulation put in whether the table shows it."""
    rows = rows_of(scores)
    committed = [row for row in rows if row["layer"] == "committed"]
    found = {}
    for region, (network, seed) in TRUE_NETWORKS.items():
        best = _best([row for row in committed if row["region"] == region])
        name = f"{network}:{seed}" if seed >= 0 else network
        found[f"{region} is made from {name}, which scores best"] = (best["network"], best["seed"]) == (
            network,
            seed,
        )
    layers = [
        row
        for row in rows
        if row["region"] == "simulated_IT"
        and (row["network"], row["seed"]) == TRUE_NETWORKS["simulated_IT"]
        and row["layer"] != "committed"
    ]
    best = _best(layers)
    found[f"simulated_IT reads out the layer {TRUE_LAYER}, which scores best"] = best["layer"] == TRUE_LAYER
    shuffled = [row for row in committed if row["region"] == "simulated_shuffled"]
    found["simulated_shuffled has lost its stimuli, and no network scores above chance"] = all(
        row["low"] <= 0 for row in shuffled
    )
    return found


def _best(rows: list[Row]) -> Row:
    return max(rows, key=lambda row: row["raw"])
