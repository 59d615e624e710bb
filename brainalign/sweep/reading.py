"""Read an experiment file; all its faults at once, each with its line and the closest match."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from brainalign.errors import BrainalignError
from brainalign.names import unknown_name
from brainalign.rules import find_rule, rule_name
from brainalign.sweep.experiment import Experiment, Full, RuleSettings, Search
from brainalign.sweep.lines import Path as KeyPath
from brainalign.sweep.lines import closest_line, line_numbers

_UNION_TAGS = ("names", "tables")


class ExperimentError(BrainalignError):
    """An experiment file with faults; the message has a line for each."""

    def __init__(self, message: str, faults: tuple[str, ...] = ()):
        super().__init__(message)
        self.faults = faults


def read_text(path: Path) -> str:
    """Read an experiment file.

    Raises
    ------
    ExperimentError
        No such file, or one that is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"The experiment file {str(path)!r} cannot be read: {error}.") from error


def read_experiment(path: str | Path) -> Experiment:
    """Read and check an experiment file.

    Raises
    ------
    ExperimentError
        Every fault that it has.
    """
    return parse_experiment(read_text(Path(path)), Path(path).name)


def parse_experiment(text: str, name: str) -> Experiment:
    """Check an experiment file's text; `name` stands before each fault's line.

    Raises
    ------
    ExperimentError
        Every fault that it has.
    """
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(f"{name} is no TOML: {error}.", (str(error),)) from error
    lines = line_numbers(text)
    try:
        experiment = Experiment.model_validate(given)
    except ValidationError as error:
        found = [_fault(each, lines) for each in error.errors(include_url=False)]
        raise _all_of(name, found) from error
    found = [(_line_of_rule(rule, given, lines), message) for rule, message in experiment.combination_faults()]
    if found:
        raise _all_of(name, found)
    return experiment


def _all_of(name: str, found: list[tuple[int, str]]) -> ExperimentError:
    faults = tuple(f"{name}:{line}: {message}" for line, message in sorted(found))
    count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
    return ExperimentError("\n".join([f"{name} has {count}; nothing was run.", *faults]), faults)


def _fault(error: Mapping[str, Any], lines: dict[KeyPath, int]) -> tuple[int, str]:
    """Say in words what pydantic found, and where."""
    place = tuple(
        part
        for at, part in enumerate(error["loc"])
        if not (at == 1 and part in _UNION_TAGS) and part != "[key]"
    )
    key = ".".join(map(str, place))
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = str(unknown_name("key", str(place[-1]), _keys_at(place[:-1])))
    elif error["type"] == "missing":
        message = f"`{key}` is missing"
    elif error["type"] != "value_error":
        message = f"`{key}` is {error['input']!r}: {message[:1].lower()}{message[1:]}"
    elif place:
        message = f"`{key}`: {message}"
    return closest_line(lines, place), message


def _keys_at(place: KeyPath) -> list[str]:
    section = {"search": Search, "rules": RuleSettings, "full": Full}.get(
        str(place[0]) if place else "", Experiment
    )
    return list(section.model_fields)


def _line_of_rule(rule: str, given: Mapping[str, Any], lines: dict[KeyPath, int]) -> int:
    """Give the line of a rule, by its place, for the file may spell it otherwise."""
    rules = given["rules"]
    keys = list(rules) if isinstance(rules, dict) else range(len(rules))
    spelt = {rule_name(find_rule(str(key) if isinstance(rules, dict) else rules[key])): key for key in keys}
    return closest_line(lines, ("rules", spelt[rule]))
