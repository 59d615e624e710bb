"""Whether the error of a chosen cost, driven into a network, imposes that cost."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from brainalign.errors import BrainalignError
from brainalign.rules.output_error import output_error
from brainalign.tasks.task import Batch, Task
from brainalign.training import Run, checkpoint_steps
from brainalign.training.trainer import Trainer
from brainalign.trajectory.resumed import advanced, guessed_cost, opened, own_task, resumed, taught_readout
from brainalign.trajectory.retargeted import next_category, permuted_targets
from brainalign.trajectory.verdicts import t_interval, with_verdict

ARMS = ("imposed", "permuted")


def imposes_cost(
    run: Run | str | Path,
    cost: Task | str | None = None,
    *,
    steps: int = 100,
    task: Task | None = None,
    records: int = 6,
    samples: int = 500,
) -> xr.Dataset:
    r"""Test whether driving the error pathway imposes a cost (Marblestone, Wayne & Kording 2016).

    From the last checkpoint, training goes on under the same rule and optimiser, but wherever the rule takes
    the error of its task it gets that of a chosen cost. The control gets errors of equal size without
    information: those of the same cost with its targets permuted over the samples of each batch, anew each
    time. Under the control the chosen cost may fall too, to that of an answer which is always the same; so the
    cost is imposed where, on held-out images, it falls from where it was and ends below the control's, and
    answers follow it more often than under the control: each by a 95 % t-interval of paired differences over
    images.

    Parameters
    ----------
    run
        A run or its folder.
    cost
        The cost to impose, as a task or its name; by default the run's own with each category called by the
        name of the next.
    steps
        Training steps.
    task
        The task that the run was trained on, where its name does not make it.
    records
        Times, log-spaced, at which is measured.
    samples
        Held-out images at most, on which is measured.

    Returns
    -------
    :
        Dims ``arm`` (imposed, permuted) and ``step``: ``cost``, the chosen one; ``follows``, the share of
        answers that are right by it (NaN where nothing can be right: then the cost alone decides);
        ``own_cost`` and ``own_follows``, the same of the run's task; ``error_size``, the mean norm of the
        outputs' error by the arm's own targets. Attributes ``fall`` and ``advantage`` (of the cost) and
        ``obedience`` (of the answers), each with its interval, ``_low`` and ``_high``; ``passes``;
        ``verdict``. NaN from where training gave no numbers any more, which is not imposed either.

    Raises
    ------
    NeedsError
        A rule that trains no read-out, a cost that does not fit the network or has no targets, or no
        categories to rename.

    Examples
    --------
    >>> from brainalign.training import train
    >>> run = train("mlp:hidden=20", steps=60, checkpoints=2, progress=False)
    >>> imposes_cost(run, steps=60).attrs["passes"]
    1
    """
    run = opened(run)
    taught_readout(run)
    if steps < 1:
        raise BrainalignError(f"{steps} steps impose nothing; give 1 or more.")
    own = own_task(run) if task is None else task
    chosen = guessed_cost(run, next_category(own) if cost is None else cost)
    driven = {"imposed": chosen, "permuted": permuted_targets(chosen)}
    at = checkpoint_steps(steps, records)
    batches = {name: next(each.held_out(samples)) for name, each in [*driven.items(), ("own", own)]}
    measured: dict[str, list[dict[str, np.ndarray]]] = {}
    for arm, error in driven.items():
        trainer = resumed(run, run.steps[-1], own, error)
        begun, measured[arm] = trainer.step, []
        for number, step in enumerate(at):
            if not advanced(trainer, begun + step):
                nothing = {name: np.full_like(each, np.nan) for name, each in measured[arm][0].items()}
                measured[arm] += [nothing] * (len(at) - number)
                break
            by_arm = _measured(trainer, chosen, batches["imposed"], "")
            by_arm |= _measured(trainer, own, batches["own"], "own_")
            measured[arm].append(by_arm | {"error_size": _error_sizes(trainer, error, batches[arm])})
    return _judged(measured, at, run, chosen)


@torch.no_grad()
def _measured(trainer: Trainer, task: Task, batch: Batch, prefix: str) -> dict[str, np.ndarray]:
    """Give each sample's cost, and whether its answer is right."""
    outputs = task.rollout(trainer.rule.inference(trainer.network.eval(), trainer.state), batch)
    trainer.network.train()
    right = task.correct(outputs, batch)
    cost = task.cost(outputs, batch).double().numpy()
    follows = np.full(len(batch), np.nan) if right is None else right.double().numpy()
    return {f"{prefix}cost": cost, f"{prefix}follows": follows}


def _error_sizes(trainer: Trainer, task: Task, batch: Batch) -> np.ndarray:
    with torch.no_grad():
        outputs = task.rollout(trainer.network.eval(), batch)
    trainer.network.train()
    error, _ = output_error(task, replace(batch, step=trainer.step), outputs)
    return error.flatten(1).norm(dim=1).double().numpy()


def _judged(
    measured: dict[str, list[dict[str, np.ndarray]]], at: list[int], run: Run, chosen: Task
) -> xr.Dataset:
    """Average over images, and add the verdict."""
    data = xr.Dataset(
        {
            name: (("arm", "step"), [[record[name].mean() for record in measured[arm]] for arm in ARMS])
            for name in measured["imposed"][0]
        },
        {"arm": list(ARMS), "step": at},
    )
    first, last, control = measured["imposed"][0], measured["imposed"][-1], measured["permuted"][-1]
    differences = {
        "fall": first["cost"] - last["cost"],
        "advantage": control["cost"] - last["cost"],
        "obedience": last["follows"] - control["follows"],
    }
    attrs: dict[str, float] = {}
    for name, values in differences.items():
        attrs[name] = float(values.mean())
        attrs[f"{name}_low"], attrs[f"{name}_high"] = t_interval(values)
    says = {
        "fall": "the cost does not fall",
        "advantage": "it ends no lower than under errors without information",
        "obedience": "answers follow it no more than under errors without information",
    }
    if np.isnan(first["follows"]).all():
        del says["obedience"]
    failed = [text for name, text in says.items() if not attrs[f"{name}_low"] > 0]
    verdict = f"not imposed: {'; '.join(failed)}" if failed else "imposed"
    return with_verdict(data, run, "T4", chosen, not failed, verdict, **attrs)
