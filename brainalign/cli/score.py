"""`brainalign score`: networks against recordings, layer by layer."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from brainalign.cli.score_tables import show_differences, show_scores
from brainalign.cli.terminal import output
from brainalign.errors import BrainalignError

ROWS_TO_SHOW = 60


def score(
    networks: Annotated[
        list[str],
        typer.Argument(help="Names such as efficientnet-lite0 or net.py:make, or a run: DIR, DIR@last."),
    ],
    on: Annotated[
        list[str],
        typer.Option("--on", help="Recording: card, card/part, the path of a card or of an NWB file."),
    ],
    metric: Annotated[list[str] | None, typer.Option(help="Metric, with options in brackets.")] = None,
    layers: Annotated[list[str] | None, typer.Option(help="Glob over layer names; blocks by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the table here, as .nc and .csv.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the layer profile here, as .pdf and .png.")] = None,
    controls: Annotated[bool, typer.Option(help="Add pixels, Gabor energies and untrained networks.")] = True,
    reduction: Annotated[
        str, typer.Option(help="whole, pool:GRID, sample:UNITS or project[:DISTORTION].")
    ] = "whole",
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap samples behind each interval.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of splits and bootstrap samples.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Stimuli a forward pass.")] = 32,
    memory: Annotated[str | None, typer.Option(help="Memory for features, such as 4GB.")] = None,
    spool: Annotated[Path | None, typer.Option(help="Folder for features that do not fit in memory.")] = None,
    precision: Annotated[str, typer.Option(help="single, double or half.")] = "single",
    device: Annotated[str | None, typer.Option(help="cpu or cuda; where the network is, by default.")] = None,
    match_conditions: Annotated[
        bool, typer.Option(help="Match conditions by the data where a recording does not label them.")
    ] = False,
    cache: Annotated[bool, typer.Option(help="Read and write representations in the cache.")] = True,
    verbose: Annotated[bool, typer.Option(help="Tell the plan by which layers are kept.")] = False,
) -> None:
    """Score networks against recordings, layer by layer, with ceilings, intervals and controls."""
    from brainalign.compare import evaluate
    from brainalign.compare.candidates import candidate, with_controls
    from brainalign.data import recording_names
    from brainalign.figures import layer_profile
    from brainalign.training import open_run

    if verbose:
        logging.getLogger("brainalign").setLevel(logging.INFO)
    _check_suffix(out, (".nc", ".csv"))
    _check_suffix(figure, (".pdf", ".png", ".svg"))
    found = [one for name in networks for one in open_run(name) or [name]]
    candidates = [candidate(each) for each in found]
    evaluation = evaluate(
        with_controls(candidates) if controls else candidates,
        [part for name in on for part in recording_names(name)],
        metric,
        layers=layers,
        reduction=reduction,
        n_resamples=resamples,
        seed=seed,
        batch_size=batch_size,
        memory=None if memory is None else parse_memory(memory),
        spool=spool if spool is not None else True,
        precision=precision,
        device=device,
        cache=cache,
        match_conditions=match_conditions,
    )
    scores = evaluation.scores
    show_scores(scores, every_layer=scores.sizes["cell"] <= ROWS_TO_SHOW)
    show_differences(evaluation.differences, bool(scores.attrs["simulated"]))
    written = evaluation.save(out) if out else []
    if figure:
        layer_profile(scores, path=figure)
        written.append(figure)
    for path in written:
        output.print(f"wrote {path}", highlight=False)


def parse_memory(text: str) -> int:
    """Read a number of bytes such as ``4GB`` or ``500 MB``.

    Examples
    --------
    >>> parse_memory("1.5GB")
    1500000000
    """
    units = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "B": 1.0}
    cleaned = text.upper().replace(" ", "")
    unit = next((unit for unit in units if cleaned.endswith(unit)), "")
    try:
        size = float(cleaned.removesuffix(unit)) * units.get(unit, 1.0)
    except ValueError:
        size = 0.0
    if size < 1:
        raise BrainalignError(f"Memory {text!r} is no size; write a number of bytes such as 4GB or 500MB.")
    return int(size)


def _check_suffix(path: Path | None, allowed: tuple[str, ...]) -> None:
    """Refuse a file name that cannot be written before anything is computed."""
    if path is not None and path.suffix not in allowed:
        raise BrainalignError(f"{path.name!r} must end in one of {', '.join(allowed)}.")
