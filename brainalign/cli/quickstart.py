"""`brainalign quickstart`: the whole flow on simulated data whose true answer is known."""

import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
import xarray as xr

from brainalign.cli.terminal import output, show_differences, show_scores

NETWORKS = ("convnet@untrained:7", "convnet@untrained:0", "gabor", "pixels")
TRUE_NETWORKS = {"simulated_V1": ("gabor", -1), "simulated_IT": ("convnet@untrained", 7)}
TRUE_LAYER = "blocks.3"


def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for the table and the figure.")] = Path(
        "brainalign-quickstart"
    ),
) -> None:
    """Score four networks on a SIMULATED recording and check that the known answer is found."""
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
        output.print(f"{'[green]found[/]' if holds else '[bold red]NOT FOUND[/]'}: {statement}", highlight=False)
    if not all(found.values()):
        sys.exit(1)
    output.print("\nNext: brainalign list recordings; brainalign score NETWORK --on RECORDING", highlight=False)


def known_answers(scores: xr.Dataset) -> dict[str, bool]:
    """Say of each thing that the simulation put in whether the table shows it."""
    table = scores.to_dataframe().reset_index(drop=True)
    committed = table[table["layer"] == "committed"]
    found = {}
    for region, (network, seed) in TRUE_NETWORKS.items():
        best = _best(committed[committed["region"] == region])
        name = f"{network}:{seed}" if seed >= 0 else network
        found[f"{region} was made from {name}, which scores best"] = (best["network"], best["seed"]) == (
            network,
            seed,
        )
    made_from = TRUE_NETWORKS["simulated_IT"]
    layers = table[
        (table["region"] == "simulated_IT")
        & (table["network"] == made_from[0])
        & (table["seed"] == made_from[1])
        & (table["layer"] != "committed")
    ]
    found[f"simulated_IT reads out its layer {TRUE_LAYER}, which scores best of its layers"] = (
        _best(layers)["layer"] == TRUE_LAYER
    )
    shuffled = committed[committed["region"] == "simulated_shuffled"]
    beyond = (shuffled["low"] > 0).any()
    found["simulated_shuffled has nothing to do with its stimuli, and no network scores above chance"] = not beyond
    return found


def _best(rows: pd.DataFrame) -> pd.Series:
    return rows.loc[rows["raw"].idxmax()]
