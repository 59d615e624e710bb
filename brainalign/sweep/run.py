"""A whole experiment: checked, planned, done, and put into tables."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from brainalign.data.cards import find_card
from brainalign.data.fetch import fetch_card
from brainalign.errors import FetchError
from brainalign.sweep.clusters import Cluster, Where
from brainalign.sweep.engine import Engine
from brainalign.sweep.experiment import Experiment
from brainalign.sweep.folder import alone_in, check_folder, claim_folder
from brainalign.sweep.plan import Cell, Plan, make_plan
from brainalign.sweep.progress import Live
from brainalign.sweep.reading import parse_experiment, read_text
from brainalign.sweep.search import choose_rates
from brainalign.sweep.store import Store
from brainalign.sweep.table import Tables
from brainalign.sweep.times import Times

log = logging.getLogger(__name__)

NO_RATE = "no learning rate of the search gave a loss"


@dataclass(frozen=True)
class Outcome:
    """How an experiment ended.

    Parameters
    ----------
    folder
        Where it lies.
    cells, done_before
        How many there are, and how many of them were done before.
    failures
        Errors by key.
    notes
        What the user should know.
    """

    folder: Path
    cells: int
    done_before: int
    failures: dict[str, str]
    notes: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether every cell has a result."""
        return not self.failures


def run_experiment(
    file: str | Path, out: str | Path, where: Where | None = None, say: Callable[[str], None] = log.warning
) -> Outcome:
    """Do what an experiment file says that is not done yet, and write its tables.

    Raises
    ------
    ExperimentError
        The file has faults.
    FetchError
        A recording cannot be had.
    BrainalignError
        A folder of another experiment, or no cluster.
    """
    file, folder = Path(file), Path(out).absolute()
    text = read_text(file)
    experiment = parse_experiment(text, file.name)
    check_folder(folder, experiment.name)
    fetch_recordings(experiment)
    with alone_in(folder, say):
        check_folder(folder, experiment.name)
        claim_folder(folder, text)
        return _Work(experiment, Store(folder), where or Where()).do()


def fetch_recordings(experiment: Experiment) -> None:
    """Have every recording's files here before anything runs.

    Raises
    ------
    FetchError
        Says of every recording that cannot be had why.
    """
    faults = []
    for name in experiment.recordings:
        card, part = find_card(name)
        try:
            if not card.regions:
                fetch_card(card, part)
        except FetchError as error:
            faults.append(f"{name}: {error}")
    if faults:
        raise FetchError("\n".join(["Recordings that cannot be had; nothing was run.", *faults]))


class _Work:
    """The steps of one call, on a folder that is its own."""

    def __init__(self, experiment: Experiment, store: Store, where: Where):
        self.experiment, self.store, self.where = experiment, store, where
        self.failures: dict[str, str] = {}
        self.notes: list[str] = []
        self.digests, broken = store.scan()
        if broken:
            self.notes.append(f"{len(broken)} results were not whole; they are done again.")
        store.clear_failures()

    def do(self) -> Outcome:
        """Do the search, then everything else, then the tables."""
        plan = make_plan(self.experiment)
        search = pd.DataFrame()
        with Cluster(self.where, self.store.folder) as cluster:
            if plan.search:
                self._run(cluster, "search", plan.search)
                rates, search = choose_rates(self.experiment, plan, self.store)
                plan = make_plan(self.experiment, rates)
            before = sum(cell.key in self.digests for cell in plan.cells)
            self._run(cluster, self.experiment.name, plan.runs + plan.scores)
        return self._finish(plan, search, before)

    def _run(self, cluster: Cluster, title: str, cells: tuple[Cell, ...]) -> None:
        keyed = [cell for cell in cells if cell.key]
        done = {cell.key for cell in keyed if cell.key in self.digests}
        if len(done) == len(keyed):
            return
        with Live(title, keyed, len(done), Times(self.store.folder)) as live:
            for note in self.notes:
                live.say(note)
            engine = Engine(self.store, cluster.connect, live)
            self.failures |= engine.run(keyed, done)

    def _finish(self, plan: Plan, search: pd.DataFrame, before: int) -> Outcome:
        self.store.sweep_up()
        if before < len(plan.cells):
            self.digests, _ = self.store.scan()
        missing = {
            cell.key: "has no result" for cell in plan.cells if cell.key and cell.key not in self.digests
        }
        self.failures = missing | {key: e for key, e in self.failures.items() if key not in self.digests}
        if plan.pending:
            self.failures[""] = NO_RATE
        edges = search[search["note"] != ""] if len(search) else search
        for _, row in edges.iterrows():
            self.notes.append(f"{row['network']}, {row['task']}, {row['rule']}: {row['note']} ({row['lr']:g}).")
        Tables(self.experiment, plan, self.store, self.failures, search).write(self.digests)
        cells = len(plan.cells)
        return Outcome(self.store.folder, cells, before, self.failures, tuple(dict.fromkeys(self.notes)))
