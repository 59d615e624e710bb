"""A checkpoint as it was in training: network, rule, optimiser and order of the images, ready to go on."""

import copy
from collections.abc import Collection
from pathlib import Path

from torch import nn

from brainalign.errors import BrainalignError, NeedsError, UnknownNameError
from brainalign.networks import make_network
from brainalign.rules import LearningRule, find_rule
from brainalign.tasks import Schedule, Task, find_task, parse_layer_cost
from brainalign.training import Run
from brainalign.training.checkpoint_file import load_checkpoint
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import DivergedError, Trainer


def opened(run: Run | str | Path) -> Run:
    """Give a run, or the one in a folder."""
    return run if isinstance(run, Run) else Run.open(run)


def own_task(run: Run) -> Task:
    """Make the task that a run was trained on, with its costs at layers and its weight.

    Raises
    ------
    BrainalignError
        The task was given as an object, which its name does not make again.
    """
    settings = run.settings
    try:
        return find_task(
            settings.task,
            weight=Schedule.parse(settings.cost_weight),
            at_layers=dict(parse_layer_cost(text) for text in settings.layer_costs),
        )
    except UnknownNameError as error:
        raise BrainalignError(
            f"The task of {run.path}, {settings.task!r}, was given as an object and cannot be made by its "
            "name; give it again as the task, or as the cost."
        ) from error


def guessed_cost(run: Run, cost: Task | str | None) -> Task:
    """Give the task whose cost is tested: one by its name, or that of the run; its network must fit.

    Raises
    ------
    NeedsError
        A cost of other images or of another number of outputs.
    """
    task = own_task(run) if cost is None else find_task(cost) if isinstance(cost, str) else cost
    wanted, found = run.settings.shape, task.preprocessing
    theirs = (found.size, found.channels, task.n_outputs)
    ours = (wanted.preprocessing.size, wanted.preprocessing.channels, wanted.n_outputs)
    if theirs != ours:
        raise NeedsError(
            f"The cost of {task.name!r} cannot be tested because it is of images of {theirs[0]} × {theirs[0]} "
            f"pixels in {theirs[1]} channels and {theirs[2]} outputs; the network of {run.path} takes "
            f"{ours[0]} × {ours[0]} pixels in {ours[1]} channels and gives {ours[2]}. Choose a task that fits."
        )
    return task


def learning_rule(run: Run) -> LearningRule:
    """Make the rule by which a run was trained."""
    return find_rule(run.settings.rule)


def taught_readout(run: Run) -> LearningRule:
    """Give the run's rule, if it teaches the network's outputs.

    Raises
    ------
    NeedsError
        It does not, so that costs of the outputs say nothing of it.
    """
    rule = learning_rule(run)
    if not rule.trains_readout:
        raise NeedsError(
            f"{run.path} cannot be tested because rule {rule.name!r} trains no read-out: the cost is of "
            "outputs that never learn. Choose a rule whose outputs learn the task."
        )
    return rule


def built(run: Run) -> nn.Module:
    """Build a run's network, its weights to be overwritten."""
    if run.template is not None:
        return copy.deepcopy(run.template)
    if run.settings.network.startswith("module "):
        raise BrainalignError(
            f"The network of {run.path} was given as a {run.settings.network}; open the run with it: "
            "Run.open(path, network)."
        )
    return make_network(run.settings.network, run.settings.shape, run.settings.seed)


def network_at(run: Run, step: int) -> nn.Module:
    """Build a run's network with the weights of a step, as the rule trains it."""
    network = built(run)
    network.load_state_dict(load_checkpoint(run.path, step)["network"])
    return network


def resumed(
    run: Run, step: int, own: Task, driven_by: Task | None = None, fixed: Collection[str] = ()
) -> Trainer:
    """Give the trainer of a run as it was after a step.

    Parameters
    ----------
    run, step
        Where to go on.
    own
        The task that the run was trained on.
    driven_by
        A task whose cost takes that one's place from here on.
    fixed
        Parameters that shall learn no more.
    """
    network, task = built(run), driven_by or own
    for name in fixed:
        network.get_parameter(name).requires_grad_(False)
    optimizer = find_optimizer(run.settings.optimizer).with_lr(run.settings.lr)
    trainer = Trainer(network, task, learning_rule(run), optimizer, run.settings.seed)
    parts = load_checkpoint(run.path, step)
    if driven_by is not None:
        # What another task learns besides starts anew.
        parts["task"] = {} if task.module is None else task.module.state_dict()
        parts["optimizer"] = {
            key: value
            for key, value in parts["optimizer"].items()
            if not key.partition(".")[2].startswith("task.")
        }
    trainer.restore(step, parts)
    return trainer


def advanced(trainer: Trainer, step: int) -> bool:
    """Train up to a step, and say whether numbers came of it."""
    try:
        while trainer.step < step:
            trainer.advance()
    except DivergedError:
        return False
    return True
