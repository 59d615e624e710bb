"""Look a name up in a catalogue; an unknown one lists the choices and the closest match."""

import difflib
import math
from collections.abc import Collection, Iterable, Mapping

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


def read_options(
    name: str, text: str, defaults: Mapping[str, object], from_zero: Collection[str] = ()
) -> dict[str, object]:
    """Read options such as ``rdm=euclidean,alpha=0.5``, each as the kind of its default.

    Parameters
    ----------
    name
        What the options are of, for messages.
    text
        The options.
    defaults
        The options that there are, with their defaults: truth values, numbers or names.
    from_zero
        Numbers that may be 0, as ``name:option``; all others are above.

    Raises
    ------
    UnknownNameError
        An option that does not exist, or a value of the wrong kind.

    Examples
    --------
    >>> read_options("pls", "n_components=10", {"n_components": 25})
    {'n_components': 10}
    """
    options: dict[str, object] = {}
    for part in filter(None, text.split(",")):
        option, equals, value = part.partition("=")
        option = snake_case(option.strip())
        if option not in defaults:
            raise unknown_name(f"option of {name}", option, defaults)
        if not equals:
            raise UnknownNameError(f"Option {option!r} of {name} has no value; write {option}=VALUE.")
        zero = f"{name}:{option}" in from_zero
        options[option] = _read(f"{name}:{option}", value.strip(), defaults[option], zero)
    return options


def _read(option: str, value: str, default: object, zero: bool) -> object:
    """Read an option's value as the kind of its default."""
    if isinstance(default, bool):
        if value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise UnknownNameError(f"Option {option} is {value!r}; expected true or false.")
    if isinstance(default, int | float):
        try:
            number = type(default)(value)
        except ValueError:
            number = -1
        if not 0 <= number < math.inf or (number == 0 and not zero):
            kind = "whole number" if isinstance(default, int) else "number"
            bound = "of 0 or above" if zero else "above 0"
            raise UnknownNameError(f"Option {option} is {value!r}; expected a {kind} {bound}.")
        return number
    return snake_case(value)
