"""`brainalign partition`: what layers explain of a region beyond each other and beyond pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from brainalign.cli.score_tables import number
from brainalign.cli.terminal import output, show
from brainalign.errors import BrainalignError, NeedsError

PIXELS = "pixels"


def partition(
    network: Annotated[str, typer.Argument(help="A name such as efficientnet-lite0 or net.py:make.")],
    on: Annotated[
        str, typer.Option("--on", help="Recording: card, card/part, the path of a card or of an NWB file.")
    ],
    groups: Annotated[
        list[str],
        typer.Option(help="NAME=LAYER, several with commas; LAYER may be a glob, a NAME may come again."),
    ],
    region: Annotated[str | None, typer.Option(help="Region, where the recording has several.")] = None,
    pixels: Annotated[bool, typer.Option(help="Add the images' pixels as a group.")] = True,
    out: Annotated[Path | None, typer.Option(help="Write the table here, as .csv.")] = None,
    reduction: Annotated[
        str, typer.Option(help="whole, pool:GRID, sample:UNITS or project[:DISTORTION].")
    ] = "whole",
    mixtures: Annotated[int, typer.Option(min=0, help="Random mixtures of each set of groups.")] = 20,
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap samples behind each interval.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of splits and bootstrap samples.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; where the network is, by default.")] = None,
    cache: Annotated[bool, typer.Option(help="Read and write representations in the cache.")] = True,
) -> None:
    """Part the variance that groups of layers explain of a region into unique and shared shares."""
    from brainalign.compare.partition import only_region, partition_variance
    from brainalign.data import load_recording
    from brainalign.files import written_whole
    from brainalign.networks import load_network, preprocessing_of
    from brainalign.probing import probe

    globs = parse_groups(groups)
    if out is not None and out.suffix != ".csv":
        raise BrainalignError(f"{out.name!r} must end in .csv.")
    if pixels and PIXELS in globs:
        raise BrainalignError(f"A group is named {PIXELS!r} already; rename it, or use --no-pixels.")
    recording = load_recording(on)
    recording.require_regions()
    if recording.stimuli is None or recording.stimuli.images is None:
        raise NeedsError(f"Recording {recording.name!r} comes without images, so no network can be shown them.")
    region = only_region(recording, region)
    shown = recording.stimuli.select(sorted(set(recording[region]["stimulus"].values.tolist())))
    module = load_network(network)
    options = {"device": device, "cache": cache}
    found = {
        name: list(probe(module, shown, layers, reduction=reduction, **options).values())
        for name, layers in globs.items()
    }
    if pixels:
        bank = load_network(PIXELS, preprocessing_of(module).size)
        found[PIXELS] = list(probe(bank, shown, **options).values())
    table = partition_variance(
        found, recording, region, n_mixtures=mixtures, n_resamples=resamples, seed=seed
    ).assign(recording=recording.name, region=region, network=network)
    simulated = recording.provenance.simulated
    show_partition(table, {name: [each.layer for each in layers] for name, layers in found.items()}, simulated)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(out) as temporary:
            table.assign(note="SIMULATED" if simulated else "").to_csv(temporary, index=False)
        output.print(f"wrote {out}", highlight=False)


def parse_groups(texts: Sequence[str]) -> dict[str, list[str]]:
    """Read groups of layers such as ``early=blocks.0,late=blocks.3``.

    Examples
    --------
    >>> parse_groups(["early=blocks.0,early=blocks.1", "late=blocks.3*"])
    {'early': ['blocks.0', 'blocks.1'], 'late': ['blocks.3*']}
    """
    groups: dict[str, list[str]] = {}
    for part in (part for text in texts for part in text.split(",")):
        name, equals, layer = (piece.strip() for piece in part.partition("="))
        if not (name and equals and layer):
            raise BrainalignError(f"Group {part!r} is not NAME=LAYER; write for example early=blocks.0.")
        groups.setdefault(name, []).append(layer)
    return groups


def show_partition(table: pd.DataFrame, layers: dict[str, list[str]], simulated: bool) -> None:
    """Print joint values and shares, with what they are made of."""
    rows = table.to_dict("records")
    first = rows[0]
    lines = [
        [row["groups"], row["share"], number(row["value"]), f"[{number(row['low'])}, {number(row['high'])}]"]
        for row in rows
    ]
    masked = f" ({first['n_units_masked']} left out)" if first["n_units_masked"] else ""
    members = "; ".join(f"{name}: {', '.join(names)}" for name, names in layers.items())
    caption = (
        f"Fraction of the {first['scale']}, held-out R² of banded ridge, median over units, mean over splits; "
        f"{first['n_stimuli']} stimuli, {first['n_units']} recorded units{masked}; 95 % bootstrap intervals "
        "over stimuli; joint: the groups together; unique: all groups less all but this one; shared: by exactly"
        f" these groups; unique and shared shares add up to the joint value of all. {members}"
    )
    mark = "SIMULATED · " if simulated else ""
    title = f"{mark}{first['recording']} · {first['region']} · {first['network']}"
    show(title, ["groups", "share", "value", "95 % interval"], lines, caption)
