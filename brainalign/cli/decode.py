"""`brainalign decode`: labels of stimuli from a recording's own responses, region by region."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from brainalign.cli.score_tables import number, probability
from brainalign.cli.terminal import output, show
from brainalign.errors import BrainalignError
from brainalign.names import snake_case


def decode(
    recordings: Annotated[list[str], typer.Argument(help="Names such as majajhong2015, or a card's path.")],
    label: Annotated[str, typer.Option(help="Column of the stimuli's metadata to decode.")],
    subset: Annotated[list[str] | None, typer.Option(help="COLUMN=VALUE: only such stimuli.")] = None,
    held_out: Annotated[
        str, typer.Option(help="stimulus, repeat, or a column: each of its values in turn.")
    ] = "stimulus",
    single_trials: Annotated[bool, typer.Option(help="Single presentations in place of means.")] = False,
    decoder: Annotated[str, typer.Option(help="ridge or logistic.")] = "ridge",
    inverse_penalty: Annotated[float, typer.Option(help="C of the logistic decoder.")] = 0.01,
    standardise: Annotated[bool, typer.Option(help="Divide units by their standard deviation.")] = True,
    folds: Annotated[int, typer.Option(min=2, help="Folds, of which each is held out once.")] = 4,
    permutations: Annotated[int, typer.Option(min=0, help="Permutations of the labels behind p.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds and permutations.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the table here, as .csv.")] = None,
) -> None:
    """Decode labels of stimuli from recordings, with intervals, chance and p by permutation."""
    from brainalign.compare.decode import decode as decode_recording
    from brainalign.data import recording_names
    from brainalign.files import written_whole

    if out is not None and out.suffix != ".csv":
        raise BrainalignError(f"{out.name!r} must end in .csv.")
    wanted = parse_subset(subset or ())
    tables = [
        decode_recording(
            part,
            label,
            subset=wanted,
            held_out=held_out,
            single_trials=single_trials,
            decoder=snake_case(decoder),
            inverse_penalty=inverse_penalty,
            standardise=standardise,
            n_folds=folds,
            n_permutations=permutations,
            seed=seed,
        )
        for name in recordings
        for part in recording_names(name)
    ]
    for table in tables:
        show_decoding(table, wanted, permutations)
    if out:
        with written_whole(out) as temporary:
            pd.concat(tables, ignore_index=True).to_csv(temporary, index=False)
        output.print(f"wrote {out}", highlight=False)


def parse_subset(texts: Sequence[str]) -> dict[str, str]:
    """Read what columns must be, each as ``column=value``.

    Examples
    --------
    >>> parse_subset(["variation=V6", "object=car"])
    {'variation': 'V6', 'object': 'car'}
    """
    subset: dict[str, str] = {}
    for text in texts:
        column, equals, value = text.partition("=")
        if not (column.strip() and equals and value.strip()):
            raise BrainalignError(f"--subset {text!r} is malformed; write COLUMN=VALUE, such as variation=V6.")
        if column.strip() in subset:
            raise BrainalignError(
                f"--subset names the column {column.strip()!r} twice; a stimulus has one value."
            )
        subset[column.strip()] = value.strip()
    return subset


def show_decoding(table: pd.DataFrame, subset: dict[str, str], n_permutations: int) -> None:
    """Print a line for each region of a recording, and say what the numbers are."""
    rows: list[dict[str, Any]] = table.to_dict("records")
    lines = [
        [
            row["region"],
            number(row["accuracy"]),
            f"[{number(row['low'])}, {number(row['high'])}]",
            number(row["chance"]),
            probability(row["p"]),
            *(str(row[count]) for count in ("n_stimuli", "n_patterns", "n_units")),
        ]
        for row in rows
    ]
    first = rows[0]
    mark = "SIMULATED · " if "SIMULATED" in first["note"] else ""
    where = "".join(f" · {column} = {value}" for column, value in subset.items())
    columns = ["region", "accuracy", "95 % interval", "chance", "p", "stimuli", "patterns", "units"]
    n_classes = max(row["n_classes"] for row in rows)
    caption = (
        f"accuracy: balanced, of a {first['decoder']} decoder of {n_classes} classes, "
        f"{first['held_out']} held out; interval over what is held out; p by {n_permutations} permutations "
        "of the labels"
    )
    notes = [f"{row['region']}: {row['note']}" for row in rows if row["note"]]
    title = f"{mark}Decoding of {first['labels']} · {first['recording']}{where}"
    show(title, columns, lines, "; ".join([caption, *notes]))
