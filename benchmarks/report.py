"""Figures gathered from the scripts: on the terminal, as JSON, as Markdown."""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.rows import Curve, Row

CONSOLE = Console(stderr=True)
COLUMNS = ("claim", "ours", "against", "ratio", "target", "holds")
SAME = ("cpu", "cores", "python", "versions", "small")
"""What figures of one report have in common."""
CURVE_COLUMNS = ("curve", "sizes", "seconds", "exponent", "theory")


@contextlib.contextmanager
def working(name: str) -> Iterator[None]:
    """Say which script is running."""
    with CONSOLE.status(f"measuring {name}"):
        yield


class Report:
    """Rows and curves, headed by the machine they were measured on."""

    def __init__(self, small: bool):
        self.machine: dict[str, Any] = machine() | {"small": small}
        self.rows: list[Row] = []
        self.curves: list[Curve] = []

    def keep(self, written: str) -> None:
        """Take over what was written before on this machine, with these versions, at such sizes."""
        before = json.loads(written)
        if all(before["machine"].get(name) == self.machine[name] for name in SAME):
            self.rows = [Row.from_record(record) for record in before["rows"]]
            self.curves = [Curve.from_record(record) for record in before["curves"]]

    def replace(self, script: str, found: Sequence[Row | Curve]) -> None:
        """Take what a script found, in place of what it found before."""
        others = [each for each in (*self.rows, *self.curves) if not each.id.startswith(f"{script}_")]
        self.rows = [each for each in (*others, *found) if isinstance(each, Row)]
        self.curves = [each for each in (*others, *found) if isinstance(each, Curve)]
        self.machine["load_at_end"] = [round(load, 2) for load in os.getloadavg()]

    def json(self) -> str:
        """Everything, unrounded."""
        content = {
            "machine": self.machine,
            "rows": [row.as_record() for row in self.rows],
            "curves": [curve.as_record() for curve in self.curves],
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def show(self) -> None:
        """Print the tables on the terminal."""
        console = Console()
        tables = [("Benchmarks", COLUMNS, [_cells(row) for row in self.rows])]
        tables += [("Time against size", CURVE_COLUMNS, [_curve_cells(curve) for curve in self.curves])]
        for title, columns, cells in tables:
            if cells:
                table = Table(title=title)
                for place, column in enumerate(columns):
                    table.add_column(column, overflow="fold", justify="right" if 0 < place < 5 else "left")
                for of_row in cells:
                    table.add_row(*of_row)
                console.print(table)
        console.print(self._machine_line(), highlight=False)

    def markdown(self) -> str:
        """Give the tables as a README shows them."""
        parts = []
        if self.rows:
            parts.append(_pipes(COLUMNS, [_cells(row) for row in self.rows]))
        if self.curves:
            parts.append(_pipes(CURVE_COLUMNS, [_curve_cells(curve) for curve in self.curves]))
        return "\n\n".join([*parts, self._machine_line()]) + "\n"

    def _machine_line(self) -> str:
        of = self.machine
        versions = ", ".join(f"{name} {version}" for name, version in of["versions"].items())
        size = " SMALL SIZES: no claim about speed." if of["small"] else ""
        load = ", ".join(f"{value:g}" for value in of["load"])
        return (
            f"{of['cpu']}, {of['cores']} cores, {of['threads']['torch']} threads; {versions}; Python "
            f"{of['python']}; {of['date']}; load at the start {load}.{size}"
        )


def _cells(row: Row) -> list[str]:
    against = row.peer_s if row.floor_s is None else row.floor_s
    memory_only = against is None
    ours = f"{row.peak_mb:,.0f} MB" if memory_only else _seconds(row.ours_s)
    sign = "≥" if row.relation == ">=" else "≤"
    return [
        row.claim,
        ours,
        "" if memory_only else _seconds(against),
        "" if memory_only else f"{row.ratio:.3g}×",
        f"{sign} {row.target:,.4g}{' MB' if memory_only else '×'}",
        "yes" if row.holds else "NO",
    ]


def _curve_cells(curve: Curve) -> list[str]:
    return [
        curve.claim,
        f"{curve.size} " + ", ".join(str(size) for size in curve.sizes),
        ", ".join(_seconds(seconds) for seconds in curve.seconds),
        f"{curve.exponent:.2f}",
        f"{curve.theory:g}",
    ]


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return (
        f"{seconds * 1000:.3g} ms"
        if seconds < 1
        else f"{seconds:.3g} s"
        if seconds < 100
        else f"{seconds:.0f} s"
    )


def _pipes(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
