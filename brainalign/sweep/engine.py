"""Do cells on a cluster: after what they wait for, few in flight, again where a machine failed."""

import logging
import os
import queue
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Protocol, cast, runtime_checkable

from distributed import Client, Future

from brainalign.errors import BrainalignError
from brainalign.sweep.cells import DONE, FAILED, LOST, Status, run_cell
from brainalign.sweep.plan import Cell, ScoringCell, TrainingCell
from brainalign.sweep.store import Store
from brainalign.training.checkpoint_file import checkpoint_path

log = logging.getLogger(__name__)

IN_FLIGHT = 64
"""Cells that the scheduler holds at least; twice its threads where it has many."""

ATTEMPTS = 3
"""How often a cell is given to the cluster that workers die of (each time Dask itself tries four)."""

PATIENCE = 600.0
"""Seconds to wait for a scheduler that has gone."""

RESULT_SECONDS = 60.0


@runtime_checkable
class Report(Protocol):
    """What is told while cells are done."""

    def cell(self, cell: Cell, status: Status) -> None:
        """Hear of a cell that is over."""

    def say(self, message: str) -> None:
        """Hear of anything else."""


class Engine:
    """Does cells that are not done yet.

    Parameters
    ----------
    store
        Where results go.
    connect
        Makes a client of the cluster.
    report
        Who hears of progress.
    function
        What a worker calls with a cell and the store's folder.
    """

    def __init__(
        self,
        store: Store,
        connect: Callable[[], Client],
        report: Report,
        function: Callable[[Cell, str], Status] = run_cell,
    ):
        self.store, self._connect, self._report, self._function = store, connect, report, function
        self._ready: deque[Cell] = deque()
        self._waiting: dict[str, list[ScoringCell]] = {}
        self._runs: dict[str, TrainingCell] = {}
        self._training: set[str] = set()
        self._in_flight: dict[Future, Cell] = {}
        self._over: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._attempts: Counter[str] = Counter()
        self._submitted = 0
        self._idle = False
        self.failures: dict[str, str] = {}

    def run(self, cells: Iterable[Cell], done: set[str]) -> dict[str, str]:
        """Do the cells whose keys are not in `done`; give errors by key."""
        self._sort(cells, done)
        client = self._connect()
        self._report.say(f"dashboard: {client.dashboard_link}")
        checked, limit = 0.0, IN_FLIGHT
        try:
            while self._ready or self._in_flight:
                if client.status == "closed":
                    client = self._reconnect()
                if client.status == "running" and time.monotonic() - checked > 5:
                    checked, limit = time.monotonic(), max(IN_FLIGHT, 2 * self._threads(client))
                self._submit(client, limit)
                self._collect(client)
        finally:
            self._in_flight.clear()
            client.close(timeout=5)
        return self.failures

    def _sort(self, cells: Iterable[Cell], done: set[str]) -> None:
        for cell in cells:
            if isinstance(cell, TrainingCell):
                self._runs[cell.key] = cell
                if cell.key not in done:
                    self._train(cell)
        for cell in cells:
            if isinstance(cell, ScoringCell) and cell.key not in done:
                if cell.run in self._training:
                    self._waiting.setdefault(cell.run, []).append(cell)
                else:
                    self._ready.append(cell)

    def _train(self, cell: TrainingCell) -> None:
        self._training.add(cell.key)
        self._ready.append(cell)

    def _submit(self, client: Client, limit: int) -> None:
        while self._ready and len(self._in_flight) < limit and client.status == "running":
            cell = self._ready.popleft()
            self._attempts[cell.key] += 1
            self._submitted += 1
            name = f"{type(cell).__name__}-{cell.key}-{self._submitted}-{os.getpid()}"
            future = client.submit(self._function, cell, str(self.store.folder), key=name, pure=False)
            self._in_flight[future] = cell
            future.add_done_callback(self._over.put)

    def _collect(self, client: Client) -> None:
        """Take all futures that are over, waiting a moment for the first."""
        try:
            future = self._over.get(timeout=0.5)
        except queue.Empty:
            return
        while True:
            cell = self._in_flight.pop(future, None)
            if cell is not None:
                self._settle(cell, future)
            try:
                future = self._over.get_nowait()
            except queue.Empty:
                return

    def _settle(self, cell: Cell, future: Future) -> None:
        try:
            if future.status == "finished":
                self._take(cell, future.result(timeout=RESULT_SECONDS))
                return
            failed = future.status == "error"
            fault = cast(BaseException, future.exception(timeout=RESULT_SECONDS)) if failed else None
        except Exception as error:  # whatever the cluster raises, the cell itself never does
            log.info("%s: %r", cell.key, error)
            fault = None
        self._try_again(cell, fault)

    def _take(self, cell: Cell, status: Status) -> None:
        if status.state == LOST and isinstance(cell, ScoringCell) and cell.run in self._runs:
            self._retrain(cell, status)
        elif status.state == DONE:
            self._report.cell(cell, status)
            self._release(cell)
        else:
            self._fail(cell, status)

    def _release(self, cell: Cell) -> None:
        """Let go what waited for a run."""
        if isinstance(cell, TrainingCell):
            self._training.discard(cell.key)
            self._ready.extend(self._waiting.pop(cell.key, []))

    def _retrain(self, cell: ScoringCell, status: Status) -> None:
        """Make a checkpoint again that is not whole or not there."""
        if cell.run not in self._training:
            if self._attempts[cell.run] > ATTEMPTS:
                self._fail(cell, status)
                return
            self._report.say(f"{status.error} It is made again.")
            checkpoint_path(self.store.run_folder(cell.run), cell.step).unlink(missing_ok=True)
            self.store.forget(cell.run)
            self._train(self._runs[cell.run])
        self._attempts[cell.key] -= 1
        self._waiting.setdefault(cell.run, []).append(cell)

    def _try_again(self, cell: Cell, fault: BaseException | None) -> None:
        """Do a cell again that a worker or the scheduler took with it, unless its result is there."""
        if self.store.digest(cell.key) is not None:
            self._take(cell, Status(DONE))
        elif fault is None:
            self._attempts[cell.key] -= 1
            self._ready.append(cell)
        elif self._attempts[cell.key] < ATTEMPTS:
            self._ready.append(cell)
        else:
            error = f"workers died of it, or could not take it: {type(fault).__name__}: {fault}"
            self._fail(cell, Status(FAILED, error=" ".join(error.split())))

    def _fail(self, cell: Cell, status: Status) -> None:
        self.failures[cell.key] = status.error
        self.store.fail(cell.key, status.trace or status.error)
        self._report.cell(cell, status)
        if isinstance(cell, TrainingCell):
            self._training.discard(cell.key)
            for scored in self._waiting.pop(cell.key, []):
                self._fail(scored, Status(FAILED, error=f"its training failed: {status.error}"))

    def _reconnect(self) -> Client:
        """Wait for the scheduler; all that was in flight is done again where its result is not there."""
        self._ready.extend(self._in_flight.values())
        self._in_flight.clear()
        started, pause = time.monotonic(), 1.0
        self._report.say("The scheduler has gone; waiting for it.")
        while time.monotonic() - started < PATIENCE:
            try:
                return self._connect()
            except OSError:
                time.sleep(pause)
                pause = min(pause * 2, 15.0)
        raise BrainalignError(
            f"The scheduler has not come back in {PATIENCE:.0f} s. Start it, and call the same command again: "
            "it goes on from what is done."
        )

    def _threads(self, client: Client) -> int:
        """Count the cluster's threads, and say it when there are none."""
        try:
            count = sum(cast(dict[str, int], client.nthreads()).values())
        except Exception as error:  # a scheduler that goes just now; the loop finds out by itself
            log.info("%r", error)
            return 0
        if bool(count) == self._idle:
            self._idle = not count
            self._report.say("workers have come" if count else "no workers yet; waiting for them")
        return count
