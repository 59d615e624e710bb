"""Look a name up in a catalogue; an unknown one lists the choices and the closest match."""

import difflib
from collections.abc import Iterable

from brainalign.errors import UnknownNameError


def unknown_name(kind: str, name: str, choices: Iterable[str]) -> UnknownNameError:
    """Make the error for a name that no catalogue holds.

    Parameters
    ----------
    kind
        What the name stands for: ``"metric"``, ``"network"``, ``"layer"``.
    name
        The name as it was given.
    choices
        The names there are.

    Examples
    --------
    >>> str(unknown_name("metric", "rigde", ["ridge", "rsa"]))
    "Unknown metric 'rigde'. Did you mean 'ridge'? Choices: ridge, rsa."
    """
    choices = sorted(choices)
    closest = difflib.get_close_matches(name, choices, n=1, cutoff=0.4)
    hint = f" Did you mean {closest[0]!r}?" if closest else ""
    shown = ", ".join(choices[:40]) + (f", … ({len(choices)} in all)" if len(choices) > 40 else "")
    return UnknownNameError(f"Unknown {kind} {name!r}.{hint} Choices: {shown or 'none'}.")


def snake_case(name: str) -> str:
    """Give the catalogue's spelling of a name; the command line takes hyphens too.

    Examples
    --------
    >>> snake_case("feedback-alignment")
    'feedback_alignment'
    """
    return name.replace("-", "_")
