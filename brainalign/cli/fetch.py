"""`brainalign fetch`: download recordings, verify them, and see that they load."""

from typing import Annotated

import typer

from brainalign.cli.terminal import output


def fetch(
    recordings: Annotated[list[str], typer.Argument(help="Names such as cowley2023/210325, or a card's path.")],
) -> None:
    """Download recordings, check their checksums, prepare them, and say how to cite them."""
    from brainalign.data import Provenance, load_recording, recording_names

    for name in recordings:
        said: Provenance | None = None
        for part in recording_names(name):
            recording = load_recording(part)
            said = recording.provenance
            held = [f"{region} {tuple(recording[region].sizes.values())}" for region in recording.regions]
            if (table := recording.behaviour) is not None:
                held.append(f"behaviour, {len(table)} rows of {table['subject'].nunique()} subjects")
            output.print(f"[bold]{part}[/]: {', '.join(held)}", highlight=False)
        if said:
            output.print(f"  cite: {said.citation}\n  licence: {said.licence}", highlight=False)
