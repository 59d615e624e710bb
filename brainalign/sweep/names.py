"""Names in an experiment file, checked against the catalogues and brought to the table's spelling."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

from brainalign.data import recording_names
from brainalign.data.nwb_path import is_nwb
from brainalign.errors import BrainalignError
from brainalign.metrics import find_metric
from brainalign.networks import check_trainable, make_network
from brainalign.rules import find_rule, rule_name
from brainalign.tasks import Schedule, Task, find_task
from brainalign.training.optimizers import find_optimizer

CONTROLS = ("pixels", "gabor")


@dataclass(frozen=True)
class TaskFacts:
    """What planning must know of a task.

    Parameters
    ----------
    name
        As the table has it.
    n_batches
        Training steps in an epoch.
    image_size
        Height and width at which networks see images, in pixels; 0 for tasks without images.
    """

    name: str
    n_batches: int
    image_size: int


@lru_cache(maxsize=8)
def load_task(name: str) -> Task:
    """Make a task, once for each name."""
    return find_task(name)


@lru_cache
def task_facts(name: str) -> TaskFacts:
    """Give the facts of a task; its images are read."""
    task = load_task(name)
    return TaskFacts(task.name, task.n_batches, 0 if task.n_inputs else task.preprocessing.size)


def combination_fault(network: str, task: str, rule: str) -> str:
    """Say why a rule cannot train a network on a task; empty where it can."""
    made, found = load_task(task), find_rule(rule)
    try:
        module = make_network(network, made.shape(found.activation), 0)
        found.check(module, made)
    except BrainalignError as error:
        return str(error)
    return ""


def _network(name: str) -> str:
    base, untrained, _ = name.partition("@untrained")
    if untrained:
        raise BrainalignError(f"{name!r}: write {base!r}; step 0 of each run is its untrained network.")
    if base.partition(":")[0] in CONTROLS:
        raise BrainalignError(f"{name!r} is a control and learns nothing; `controls = true` adds it by itself.")
    check_trainable(name)
    return name


def _recording(name: str) -> str:
    if is_nwb(name):
        raise BrainalignError(
            f"{name!r} is a file, which may change under an experiment; give it a card with its checksum "
            "(docs/bring_your_own.md), or score it by itself (`brainalign score … --on FILE.nwb`)."
        )
    parts = recording_names(name)
    if parts != [name]:
        raise BrainalignError(f"The card {name!r} holds several recordings; name each: {', '.join(parts)}.")
    return name


def _rule(name: str) -> str:
    return rule_name(find_rule(name))


def _layer_cost(text: str) -> str:
    from brainalign.tasks import parse_layer_cost

    parse_layer_cost(text)
    return text


def _schedule(text: str) -> str:
    Schedule.parse(text)
    return text


def _optimizer(name: str) -> str:
    find_optimizer(name)
    return name


Network = Annotated[str, AfterValidator(_network)]
TaskName = Annotated[str, AfterValidator(lambda name: task_facts(name).name)]
RuleName = Annotated[str, AfterValidator(_rule)]
RecordingName = Annotated[str, AfterValidator(_recording)]
MetricName = Annotated[str, AfterValidator(lambda name: find_metric(name).name)]
OptimizerName = Annotated[str, AfterValidator(_optimizer)]
LayerCostName = Annotated[str, AfterValidator(_layer_cost)]
Weight = Annotated[str, AfterValidator(_schedule)]
