"""`brainalign list`: what there is."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer

from brainalign.cli.terminal import output, show
from brainalign.names import unknown_name


def list_(
    kind: Annotated[
        str, typer.Argument(help="recordings, networks, tasks, rules or metrics; all by default.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
) -> None:
    """List the recordings, networks, tasks, rules and metrics that can be named."""
    if kind and kind not in KINDS:
        raise unknown_name("kind of thing", kind, KINDS)
    kinds = [kind] if kind else list(KINDS)
    found = {each: KINDS[each]() for each in kinds}
    if as_json:
        output.print_json(json.dumps(found[kind] if kind else found))
        return
    for each, things in found.items():
        columns = list(things[0])
        show(each, columns, [[str(thing[column]) for column in columns] for thing in things])


def _recordings() -> list[dict[str, object]]:
    from brainalign.data import list_cards

    return [
        {
            "name": card.name,
            "areas": ", ".join(card.areas),
            "species": card.species,
            "parts": ", ".join(card.parts),
            "title": card.title,
            "licence": card.licence,
        }
        for card in list_cards()
    ]


def _networks() -> list[dict[str, object]]:
    from brainalign.networks import list_networks

    return [asdict(entry) for entry in list_networks()]


def _tasks() -> list[dict[str, object]]:
    from brainalign.tasks import list_tasks

    return [
        {
            "name": entry.name,
            "summary": entry.summary,
            "options": ", ".join(f"{option}={value}" for option, value in entry.options.items()),
            "source": entry.source,
        }
        for entry in list_tasks()
    ]


def _rules() -> list[dict[str, object]]:
    from brainalign.rules import list_rules

    return [asdict(entry) for entry in list_rules()]


def _metrics() -> list[dict[str, object]]:
    from brainalign.metrics import METRICS, find_metric

    found = [find_metric(name) for name in METRICS]
    return [
        {
            "name": metric.name,
            "value": metric.label,
            "needs": ", ".join(sorted(metric.needs)),
            "options": ", ".join(f"{option}={value}" for option, value in metric.options.items()),
            "source": metric.citation,
        }
        for metric in found
    ]


KINDS: dict[str, Callable[[], list[dict[str, object]]]] = {
    "recordings": _recordings,
    "networks": _networks,
    "tasks": _tasks,
    "rules": _rules,
    "metrics": _metrics,
}
