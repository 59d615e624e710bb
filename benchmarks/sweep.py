"""What an experiment costs beyond its cells' work, and what a second worker saves."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.rows import Row, times_faster, times_floor
from brainalign.sweep import Where, make_plan, read_experiment, run_experiment
from brainalign.sweep.folder import claim_folder
from brainalign.sweep.plan import Cell
from brainalign.sweep.store import Store

PLAN_SECONDS, RESUME_SECONDS, CELL_SECONDS = 10.0, 20.0, 0.05
"""Budgets of planning and of going on with 100 000 cells, and of what one cell costs beyond its work."""

WORK = """
name = "work"
networks = ["convnet"]
tasks = ["classification:digits"]
rules = ["backprop"]
seeds = {seeds}
steps = {steps}
checkpoints = 2
recordings = ["simulated"]
metrics = ["rsa"]
resamples = {resamples}
controls = false
"""

MANY = """
name = "many"
networks = ["mlp", "convnet"]
tasks = ["classification:digits"]
rules = ["backprop", "feedback_alignment"]
seeds = {seeds}
steps = 1000
checkpoints = {checkpoints}
recordings = ["simulated"]
metrics = ["rsa"]
"""


def measure(small: bool) -> list[Row]:
    """Run one experiment by one worker and by two, and a large plan whose cells are all done."""
    with tempfile.TemporaryDirectory() as folder:
        rows = _workers(Path(folder), small)
        return rows + _many(Path(folder), small)


def _workers(folder: Path, small: bool) -> list[Row]:
    seeds, steps, resamples = (2, 5, 100) if small else (12, 600, 1000)
    file = folder / "work.toml"
    file.write_text(WORK.format(seeds=list(range(seeds)), steps=steps, resamples=resamples))
    seconds = {}
    for workers in (1, 2):
        began = time.perf_counter()
        run_experiment(file, folder / f"by_{workers}", Where(workers=workers), say=_silent)
        seconds[workers] = time.perf_counter() - began
    n_cells = len(make_plan(read_experiment(file)).cells)
    what = f"an experiment of {n_cells} cells"
    return [
        times_faster("sweep_workers", f"{what}, two local workers: against one", seconds[2], seconds[1], 1.7),
        times_floor(
            "sweep_overhead",
            f"{what}, one worker, between the first result and the last, a cell beyond its work: against 50 ms",
            _overhead(folder / "by_1"),
            CELL_SECONDS,
            1.0,
        ),
    ]


def _overhead(folder: Path) -> float:
    """Give the seconds between two results that their work does not explain."""
    written = sorted(path.stat().st_mtime for path in folder.glob("cells/*/*.json"))
    work = pd.read_csv(folder / "times.csv", names=["kind", "seconds", "memory"])["seconds"]
    return max(written[-1] - written[0] - sum(work.tolist()[1:]), 1e-6) / (len(written) - 1)


def _many(folder: Path, small: bool) -> list[Row]:
    seeds, checkpoints = (3, 5) if small else (1000, 24)
    file, out = folder / "many.toml", folder / "many"
    file.write_text(MANY.format(seeds=list(range(seeds)), checkpoints=checkpoints))
    began = time.perf_counter()
    plan = make_plan(read_experiment(file))
    planned = time.perf_counter() - began
    claim_folder(out, file.read_text())
    _pretend_done(plan.cells, out, folder / "by_1")
    run_experiment(file, out, Where(workers=1), say=_silent)
    began = time.perf_counter()
    run_experiment(file, out, Where(workers=1), say=_silent)
    resumed = time.perf_counter() - began
    what = f"{len(plan.cells):,} cells"
    return [
        times_floor("sweep_plan", f"plan {what}: against 10 s", planned, PLAN_SECONDS, 1.0),
        times_floor(
            "sweep_resume",
            f"go on with {what}, all done, the tables found whole: against 20 s",
            resumed,
            RESUME_SECONDS,
            1.0,
        ),
    ]


def _silent(_: str) -> None:
    """Say nothing."""


def _pretend_done(cells: Sequence[Cell], out: Path, real: Path) -> None:
    """Give every cell the result of a real one of its kind."""
    made, done, results = Store(out), Store(real), {}
    for cell in make_plan(read_experiment(real / "experiment.toml")).cells:
        results.setdefault(type(cell), done.path(cell.key).read_bytes())
    for cell in cells:
        path = made.path(cell.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(results[type(cell)])
