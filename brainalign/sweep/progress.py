"""What a running experiment shows: cells done, how fast, how long still."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from brainalign.sweep.cells import DONE, Status
from brainalign.sweep.plan import Cell, TrainingCell
from brainalign.sweep.times import Times


class Live:
    """A live bar on standard error, and a record of how long cells take.

    Parameters
    ----------
    title
        What is done.
    cells
        All cells.
    done
        How many were done before.
    times
        Where durations are kept.
    """

    def __init__(self, title: str, cells: Sequence[Cell], done: int, times: Times):
        self.console = Console(stderr=True)
        self._times = times
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}", style="red"),
            console=self.console,
        )
        self._task = self._progress.add_task(title, total=len(cells), completed=done, rate="", failed="")
        self._failed = 0

    def __enter__(self) -> "Live":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def cell(self, cell: Cell, status: Status) -> None:
        """Move on by a cell; say it when one failed for the first time."""
        if status.state == DONE and status.seconds:
            self._times.add("run" if isinstance(cell, TrainingCell) else "score", status.seconds, status.memory)
        if status.state != DONE:
            self._failed += 1
            if self._failed <= 5:
                self.say(f"failed: {describe(cell)}: {status.error}")
        speed = self._progress.tasks[0].speed
        self._progress.update(
            self._task,
            advance=1,
            rate=f"{speed:.2g} cells/s" if speed else "",
            failed=f"{self._failed} failed" if self._failed else "",
        )

    def say(self, message: str) -> None:
        """Print a line above the bar."""
        self.console.print(message, highlight=False, soft_wrap=True, markup=False)


def describe(cell: Cell) -> str:
    """Name a cell in words."""
    if isinstance(cell, TrainingCell):
        rate = "" if cell.lr is None else f", lr {cell.lr:g}"
        return f"{cell.network}, {cell.task}, {cell.rule}, seed {cell.seed}{rate}"
    if not cell.task:
        return f"{cell.network} on {cell.recording}"
    return f"{cell.network}, {cell.task}, {cell.rule}, seed {cell.seed}, step {cell.step} on {cell.recording}"
