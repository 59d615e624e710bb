"""From an experiment to its cells: pure, and quick for a hundred thousand of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from brainalign.errors import BrainalignError
from brainalign.files import content_hash
from brainalign.networks.gabor import SMALLEST_IMAGE
from brainalign.rules import find_rule
from brainalign.sweep.experiment import Experiment
from brainalign.sweep.identity import key_of, network_identity, recording_identity
from brainalign.sweep.names import CONTROLS, task_facts
from brainalign.training import checkpoint_steps
from brainalign.training.search import validating

Combination = tuple[str, str, str]
"""Network, task and rule: what one learning rate is for."""

Rates = Mapping[Combination, float | None]


@dataclass(frozen=True, slots=True)
class TrainingCell:
    """One training run. `search` marks a run of the search for a learning rate, which nothing is scored of."""

    key: str
    network: str
    task: str
    rule: str
    seed: int
    steps: int
    lr: float | None
    optimizer: str | None
    checkpoints: int
    evaluate_on: int | None
    layer_costs: tuple[str, ...]
    cost_weight: str
    search: bool = False


@dataclass(frozen=True, slots=True)
class ScoringCell:
    """One checkpoint, or a control, against one recording: all layers and metrics from one probe.

    Of a control `run` is empty, `step` and `seed` are −1 and `source` says what is loaded.
    """

    key: str
    run: str
    source: str
    network: str
    task: str
    rule: str
    seed: int
    step: int
    recording: str
    identity: str
    metrics: tuple[str, ...]
    layers: tuple[str, ...] | None
    resamples: int
    match_conditions: bool = False


Cell = TrainingCell | ScoringCell


@dataclass(frozen=True)
class Plan:
    """The cells of an experiment.

    Parameters
    ----------
    search
        Runs of the search for learning rates.
    runs, scores
        Training runs, and scores of their checkpoints and of the controls. Keys of runs whose learning
        rate is still searched for, and of their scores, are empty.
    """

    search: tuple[TrainingCell, ...]
    runs: tuple[TrainingCell, ...]
    scores: tuple[ScoringCell, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All of them."""
        return self.search + self.runs + self.scores

    @property
    def pending(self) -> bool:
        """Whether some wait for a learning rate."""
        return any(not run.key for run in self.runs)


def make_plan(experiment: Experiment, rates: Rates | None = None) -> Plan:
    """Lay out an experiment's cells, in an order that depends on the experiment alone.

    Parameters
    ----------
    experiment
        What is planned.
    rates
        Learning rates that the search has found; None before it has run.
    """
    runs = _runs(experiment, rates or {})
    scores = _scores_of(experiment, runs)
    controls = _controls(experiment) if experiment.controls else []
    return Plan(tuple(_search(experiment)), tuple(runs), tuple(scores + controls))


def searched(experiment: Experiment) -> list[Combination]:
    """Give the combinations whose learning rate is searched for."""
    if experiment.search is None:
        return []
    settings = experiment.rule_settings()
    rules = [rule for rule, each in settings.items() if each.lr is None and find_rule(rule).learns]
    return list(product(experiment.networks, experiment.tasks, rules))


def _search(experiment: Experiment) -> list[TrainingCell]:
    search = experiment.search
    if search is None:
        return []
    return [
        _training_cell(experiment, combination, seed, lr=rate, search=True)
        for combination in searched(experiment)
        for rate, seed in product(search.rates, search.seeds)
    ]


def _runs(experiment: Experiment, rates: Rates) -> list[TrainingCell]:
    waiting = set(searched(experiment))
    cells = []
    rules = experiment.rule_settings()
    for network, task, rule in product(experiment.networks, experiment.tasks, rules):
        combination = (network, task, rule)
        lr = rates.get(combination) if combination in waiting else rules[rule].lr
        for seed in experiment.seeds:
            cell = _training_cell(experiment, combination, seed, lr=lr)
            cells.append(replace(cell, key="") if combination in waiting and lr is None else cell)
    return cells


def _training_cell(
    experiment: Experiment, combination: Combination, seed: int, *, lr: float | None, search: bool = False
) -> TrainingCell:
    network, task, rule = combination
    steps = _steps(experiment, task)
    checkpoints = experiment.checkpoints
    if search and experiment.search is not None:
        task = validating(task, experiment.search.validation)
        steps, checkpoints = experiment.search.steps, 2
    facts: dict = {
        "network": network,
        "task": task,
        "rule": rule,
        "seed": seed,
        "steps": steps,
        "lr": lr,
        "optimizer": experiment.rule_settings()[rule].optimizer,
        "checkpoints": checkpoints,
        "evaluate_on": experiment.evaluate_on,
        "layer_costs": tuple(experiment.layer_costs),
        "cost_weight": experiment.cost_weight,
    }
    return TrainingCell(key_of("run", facts | {"file": network_identity(network)}), **facts, search=search)


def _steps(experiment: Experiment, task: str) -> int:
    if experiment.steps is not None:
        return experiment.steps
    return max(1, round((experiment.epochs or 10) * task_facts(task).n_batches))


def _scores_of(experiment: Experiment, runs: Sequence[TrainingCell]) -> list[ScoringCell]:
    makers = [_Scoring.of(experiment, recording) for recording in experiment.recordings]
    in_full = [_Scoring.of(experiment, recording, full=True) for recording in experiment.recordings]
    steps = {(run.steps, run.checkpoints): checkpoint_steps(run.steps, run.checkpoints) for run in runs}
    full_steps = set(experiment.full.steps) if experiment.full else set()
    for there in steps.values():
        if full_steps - set(there):
            absent, given = (", ".join(map(str, each)) for each in (sorted(full_steps - set(there)), there))
            raise BrainalignError(f"`full.steps` names {absent}; checkpoints of a run are at steps {given}.")
    return [
        make.checkpoint(run, step)
        for run in runs
        for step in steps[run.steps, run.checkpoints]
        for make in (in_full if step in full_steps else makers)
    ]


def _controls(experiment: Experiment) -> list[ScoringCell]:
    """Give pixels and the Gabor bank at each size at which networks see images."""
    makers = [_Scoring.of(experiment, recording, full=True) for recording in experiment.recordings]
    sizes = sorted({task_facts(task).image_size for task in experiment.tasks} - {0})
    cells = []
    for control in CONTROLS:
        smallest = SMALLEST_IMAGE if control == "gabor" else 1
        possible = sorted({max(size, smallest) for size in sizes})
        for size, make in product(possible, makers):
            source = f"{control}:{size}"
            cells.append(make.control(source if len(possible) > 1 else control, source))
    return cells


@dataclass(frozen=True)
class _Scoring:
    """What all cells on one recording have in common, hashed once."""

    digest: str
    recording: str
    identity: str
    metrics: tuple[str, ...]
    layers: tuple[str, ...] | None
    resamples: int
    match_conditions: bool

    @classmethod
    def of(cls, experiment: Experiment, recording: str, full: bool = False) -> "_Scoring":
        facts: dict = {
            "recording": recording,
            "identity": recording_identity(recording),
            "metrics": tuple(experiment.metrics_of(recording, full)),
            "layers": None if experiment.layers is None else tuple(experiment.layers),
            "resamples": experiment.full.resamples if full and experiment.full else experiment.resamples,
        }
        match = experiment.match_conditions
        return cls(key_of("score", facts | ({"match": True} if match else {})), **facts, match_conditions=match)

    def checkpoint(self, run: TrainingCell, step: int) -> ScoringCell:
        key = content_hash(self.digest, run.key, str(step)) if run.key else ""
        labels = (run.network, run.task, run.rule, run.seed, step)
        return ScoringCell(key, run.key, "", *labels, *self._common)

    def control(self, name: str, source: str) -> ScoringCell:
        key = content_hash(self.digest, name, source)
        return ScoringCell(key, "", source, name, "", "", -1, -1, *self._common)

    @property
    def _common(self) -> tuple[str, str, tuple[str, ...], tuple[str, ...] | None, int, bool]:
        return (
            self.recording,
            self.identity,
            self.metrics,
            self.layers,
            self.resamples,
            self.match_conditions,
        )
