"""What a worker does: one cell, a pure function of what its key hashes, on one thread."""

import logging
import resource
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from brainalign.compare import evaluate
from brainalign.compare.candidates import Candidate
from brainalign.compare.condition_rows import RECORDING
from brainalign.compare.problems import Problem, make_problems
from brainalign.compare.scores import COUNTS, LABELS, NUMBERS, TEXTS, VALUES
from brainalign.data import Recording, load_recording
from brainalign.errors import BrainalignError, NeedsError
from brainalign.metrics import Metric, find_metric
from brainalign.sweep.plan import Cell, ScoringCell, TrainingCell
from brainalign.sweep.store import Store
from brainalign.training import Checkpoint, CheckpointError, DivergedError, Run, train

COLUMNS = (*LABELS, *NUMBERS, *VALUES, *COUNTS, *TEXTS)

DONE, FAILED, LOST = "done", "failed", "lost"


@dataclass(frozen=True)
class Status:
    """What a worker says of a cell; the result itself is in the store.

    Parameters
    ----------
    state
        ``done``, ``failed``, or ``lost`` where the checkpoint is not there or not whole.
    seconds
        Time that it took.
    memory
        The worker's largest memory so far, in bytes.
    error, trace
        The error in one line, and in full.
    """

    state: str
    seconds: float = 0.0
    memory: int = 0
    error: str = ""
    trace: str = ""


def run_cell(cell: Cell, folder: str) -> Status:
    """Do a cell and keep its result; its error comes back as a value, for trying again mends none."""
    logging.getLogger("brainalign").setLevel(logging.ERROR)
    started = time.perf_counter()
    store = Store(folder)
    state, error, trace = DONE, "", ""
    try:
        torch.set_num_threads(1)
        with threadpool_limits(1):
            store.write(
                cell.key, _train(cell, store) if isinstance(cell, TrainingCell) else _score(cell, store)
            )
    except CheckpointError as fault:
        state, error = (LOST if isinstance(cell, ScoringCell) else FAILED), one_line(fault)
    except Exception as fault:
        state, error, trace = FAILED, one_line(fault), traceback.format_exc()
    return Status(state, time.perf_counter() - started, peak_memory(), error, trace)


def peak_memory() -> int:
    """Give the largest memory that this process has had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def one_line(error: BaseException) -> str:
    """Give an error's kind and message, as the table's column ``note`` has it."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _train(cell: TrainingCell, store: Store) -> dict:
    """Train, and give the run's table; that a rate of a search diverges is a result, and no failure."""
    try:
        run = train(
            cell.network,
            cell.task,
            cell.rule,
            seed=cell.seed,
            steps=cell.steps,
            optimizer=cell.optimizer,
            lr=cell.lr,
            checkpoints=cell.checkpoints,
            evaluate_on=cell.evaluate_on,
            layer_costs=cell.layer_costs,
            cost_weight=cell.cost_weight,
            out=store.run_folder(cell.key),
            progress=False,
        )
    except DivergedError:
        if not cell.search:
            raise
        return tabled(pd.DataFrame({"step": [cell.steps], "loss": [float("nan")]}))
    return tabled(run.table)


def _score(cell: ScoringCell, store: Store) -> dict:
    recording = _recording(cell.recording, cell.identity)
    if cell.source:
        candidate = Candidate(cell.network, source=cell.source)
    else:
        checkpoint, module = _network(cell, store)
        candidate = Candidate(
            cell.network,
            cell.seed,
            cell.rule,
            module,
            task=cell.task,
            checkpoint=cell.step,
            answers=partial(checkpoint.answers, network=module),
        )
    labels = {"network": cell.network, "task": cell.task, "rule": cell.rule, "seed": cell.seed}
    rows = _rows(candidate, recording, cell)
    rows.loc[rows["network"] != RECORDING, [*labels, "checkpoint"]] = [*labels.values(), cell.step]
    stimuli = recording.stimuli.content_hash() if recording.stimuli else ""
    return tabled(rows.loc[:, list(COLUMNS)]) | {"stimuli": stimuli}


def _network(cell: ScoringCell, store: Store) -> tuple[Checkpoint, nn.Module]:
    """Load a checkpoint; whatever is wrong with the run's folder, training again mends it."""
    try:
        checkpoint = Run.open(store.run_folder(cell.run)).checkpoints([cell.step])[0]
        return checkpoint, checkpoint.load()
    except (BrainalignError, OSError) as error:
        raise CheckpointError(str(error)) from error


def _rows(candidate: Candidate, recording: Recording, cell: ScoringCell) -> pd.DataFrame:
    """Score all metrics from one probe; one that the recording does not allow has a row that says so."""
    options: dict = {
        "layers": cell.layers and list(cell.layers),
        "n_resamples": cell.resamples,
        "cache": False,
        "match_conditions": cell.match_conditions,
        "prepare": _prepared,
    }
    try:
        return _frame(candidate, recording, list(cell.metrics), options)
    except NeedsError:
        frames = [_allowed(candidate, recording, metric, options, cell) for metric in cell.metrics]
        return pd.concat(frames, ignore_index=True)


def _allowed(
    candidate: Candidate, recording: Recording, metric: str, options: dict, cell: ScoringCell
) -> pd.DataFrame:
    """Score one metric, or give a row that says why the recording does not allow it."""
    try:
        return _frame(candidate, recording, [metric], options)
    except NeedsError as error:
        return pd.DataFrame([empty_row(cell, str(error)) | {"metric": metric}])


def _frame(candidate: Candidate, recording: Recording, metrics: list[str], options: dict) -> pd.DataFrame:
    return evaluate([candidate], recording, metrics, **options).scores.to_dataframe().reset_index(drop=True)


def empty_row(cell: ScoringCell, note: str) -> dict:
    """Make the row of a cell that has no value, with the reason."""
    counts = dict.fromkeys(COUNTS, 0) | {"layer_units": -1}
    row = dict.fromkeys((*LABELS, *TEXTS), "") | dict.fromkeys(VALUES, float("nan")) | counts
    row |= {"recording": cell.recording, "network": cell.network, "task": cell.task, "rule": cell.rule}
    return row | {"seed": cell.seed, "checkpoint": cell.step, "note": note}


def tabled(frame: pd.DataFrame) -> dict:
    """Give a table as JSON can hold it."""
    return {"columns": list(frame.columns), "rows": frame.to_numpy(dtype=object).tolist()}


@lru_cache(maxsize=8)
def _recording(name: str, identity: str) -> Recording:
    """Load a recording, once for several cells; `identity` tells one that has changed."""
    return load_recording(name)


def _prepared(recording: Recording, metrics: Sequence[Metric], n_resamples: int, seed: int) -> list[Problem]:
    return _problems(recording, tuple(metric.name for metric in metrics), n_resamples, seed)


@lru_cache(maxsize=8)
def _problems(recording: Recording, names: tuple[str, ...], n_resamples: int, seed: int) -> list[Problem]:
    """Make a recording's regions ready, once for several cells, whose metrics all come from names."""
    return make_problems(recording, [find_metric(name) for name in names], n_resamples, seed)
