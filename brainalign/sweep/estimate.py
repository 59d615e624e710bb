"""What an experiment will cost, before anything of it is run."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from brainalign.errors import BrainalignError
from brainalign.rules import find_rule
from brainalign.sweep.cells import DONE, run_cell
from brainalign.sweep.folder import check_folder
from brainalign.sweep.plan import Cell, Plan, ScoringCell, TrainingCell, make_plan
from brainalign.sweep.reading import read_experiment
from brainalign.sweep.search import choose_rates
from brainalign.sweep.store import Store
from brainalign.sweep.times import Times

SHORT = 20
"""Steps of the run by which an estimate is made."""


@dataclass(frozen=True)
class Estimate:
    """A plan's size, time and memory.

    Parameters
    ----------
    counts
        Cells of each kind: how many there are, and how many are done.
    seconds
        Of one worker for what is not done yet, of each kind.
    memory
        Of a worker, in bytes.
    basis
        What the figures rest on.
    """

    counts: dict[str, tuple[int, int]]
    seconds: dict[str, float]
    memory: int
    basis: str


def estimate_experiment(file: str | Path, out: str | Path) -> Estimate:
    """Plan an experiment, and estimate what is left of it.

    Raises
    ------
    ExperimentError
        The file has faults.
    BrainalignError
        The folder holds another experiment.
    """
    experiment, store = read_experiment(file), Store(Path(out).absolute())
    check_folder(store.folder, experiment.name)
    done = set(store.scan()[0])
    plan = make_plan(experiment)
    if plan.search and all(cell.key in done for cell in plan.search):
        plan = make_plan(experiment, choose_rates(experiment, plan, store)[0])
    kinds: dict[str, Sequence[Cell]] = {"search": plan.search, "training": plan.runs, "scoring": plan.scores}
    counts = {kind: (len(cells), sum(cell.key in done for cell in cells)) for kind, cells in kinds.items()}
    means, memory = Times(store.folder).means()
    if {"run", "score"} <= set(means):
        per_cell = {"search": means["run"], "training": means["run"], "scoring": means["score"]}
        seconds = {kind: (count - ready) * per_cell[kind] for kind, (count, ready) in counts.items()}
        return Estimate(counts, seconds, memory, "the cells of this folder that are done")
    left = {kind: [cell for cell in cells if cell.key not in done] for kind, cells in kinds.items()}
    seconds, memory = _measured(plan, left)
    basis = (
        f"{SHORT} steps of each network and task, and one checkpoint scored on the first recording, just now"
    )
    return Estimate(counts, seconds, memory, basis)


def _measured(plan: Plan, left: dict[str, list]) -> tuple[dict[str, float], int]:
    """Train briefly and score once, in a folder of its own."""
    per_pass: dict[tuple[str, str], float] = {}
    memory, scoring = 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for cell in plan.runs:
            pair = (cell.network, cell.task)
            if pair not in per_pass:
                steps = min(SHORT, cell.steps)
                status = _tried(replace(cell, key=f"short{len(per_pass)}", steps=steps, checkpoints=2), folder)
                per_pass[pair] = status.seconds / (steps * find_rule(cell.rule).passes)
                memory = max(memory, status.memory)
        first = next(cell for cell in plan.scores if not cell.source)
        status = _tried(replace(first, key="scored", run="short0", step=0), folder)
        scoring, memory = status.seconds, max(memory, status.memory)
    runs = {
        kind: float(sum(_run_seconds(cell, per_pass) for cell in left[kind])) for kind in ("search", "training")
    }
    return runs | {"scoring": scoring * len(left["scoring"])}, memory


def _run_seconds(cell: TrainingCell, per_pass: dict[tuple[str, str], float]) -> float:
    task = next(
        (task for network, task in per_pass if network == cell.network and cell.task.startswith(task)), ""
    )
    return per_pass.get((cell.network, task), 0.0) * cell.steps * find_rule(cell.rule).passes


def _tried(cell: TrainingCell | ScoringCell, folder: str):
    status = run_cell(cell, folder)
    if status.state != DONE:
        raise BrainalignError(f"The plan was tried on a short run, which failed: {status.error}")
    return status
