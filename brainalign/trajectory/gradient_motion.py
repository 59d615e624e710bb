"""Whether weights move along the gradient of a guessed cost, beyond what their inputs alone would do."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from brainalign.errors import BrainalignError
from brainalign.names import unknown_name
from brainalign.networks.untrained import seeded
from brainalign.tasks.task import Task
from brainalign.training import CheckpointError, Run
from brainalign.training.angles import angle, update_of
from brainalign.training.checkpoint_file import load_checkpoint
from brainalign.trajectory.gradient_by_sample import GradientBySample, Weights, gradient_by_sample
from brainalign.trajectory.resumed import guessed_cost, network_at, opened, own_task, resumed
from brainalign.trajectory.verdicts import SIGNIFICANT, share_as_large, with_verdict

ALL = "all"
FEWEST_PERMUTATIONS = 200
ROUNDING = 1e-6
"""Share of float32 weights under which what is left of them is rounding."""


def moves_along_gradient(
    run: Run | str | Path,
    cost: Task | str | None = None,
    *,
    motion: str = "checkpoints",
    task: Task | None = None,
    permutations: int = 999,
    samples: int = 500,
    seed: int = 0,
) -> xr.Dataset:
    r"""Test whether weights move along the gradient of a cost (Marblestone, Wayne & Kording 2016).

    .. math::
        \cos_l = \frac{\langle \Delta W_l, -\nabla_l C \rangle}
        {\lVert \Delta W_l \rVert\, \lVert \nabla_l C \rVert}, \qquad
        \nabla_l C = \sum_i \delta_{il} h_{i,l-1}^\top

    The isotropic null, in which the cosine of D weights has mean 0 and standard deviation 1/√D, is refused by
    almost any update that is an outer product with the true presynaptic activity, whatever its errors. So the
    verdict is by updates :math:`-\sum_i \delta_{\pi(i)l} h_{i,l-1}^\top` that have the same activity and the
    same errors, permuted over samples. These too share with the gradient the product of the means,
    :math:`\bar\delta \bar h^\top`, often most of both, which says nothing of single samples: for this test the
    direction of the mean activity is taken out of motion, gradient and null alike (`cosine_apart`).

    Parameters
    ----------
    run
        A run or its folder.
    cost
        The guessed cost, as a task or its name; by default that of the run.
    motion
        ``checkpoints``, from each checkpoint to the next; or ``updates``, what the rule makes of the samples
        at each checkpoint, before the optimiser.
    task
        The task that the run was trained on, where its name does not make it.
    permutations
        Of the errors over samples.
    samples
        Training images at most.
    seed
        Seed of the permutations.

    Returns
    -------
    :
        Dims ``checkpoint`` (the earlier, in steps) and ``layer`` (linear maps in the order of their use; the
        last, ``all``, is all weights as one vector): ``cosine``, ``angle`` (degrees), ``z_isotropic``,
        ``cosine_apart``, ``z_permuted`` and ``p_permuted`` (one-sided, (1 + #≥) / (1 + N)), ``distance``
        moved. Where nothing moved, NaN. Attributes: ``p``, of the mean over checkpoints of `cosine_apart` of
        all weights; ``passes``, where it is 0.05 or less; ``verdict``.

    Raises
    ------
    NeedsError
        A cost that does not fit the network, or maps whose inputs are not laid out sample by sample.
    CheckpointError
        Fewer than two checkpoints to move between.
    BrainalignError
        Fewer than 200 permutations.
    UnknownNameError
        Another motion.

    Examples
    --------
    >>> from brainalign.training import train
    >>> run = train("mlp:hidden=20", steps=20, checkpoints=3, progress=False)
    >>> moves_along_gradient(run, permutations=200).attrs["passes"]
    1
    """
    run = opened(run)
    if motion not in MOTIONS:
        raise unknown_name("motion", motion, MOTIONS)
    if permutations < FEWEST_PERMUTATIONS:
        raise BrainalignError(
            f"{permutations} permutations cannot tell small p-values; give {FEWEST_PERMUTATIONS} or more."
        )
    guess = guessed_cost(run, cost if cost is not None else task)
    batch, generator = next(guess.seen(samples)), torch.Generator().manual_seed(seed)
    orders = [torch.randperm(len(batch), generator=generator) for _ in range(permutations)]
    steps, rows, nulls = [], [], []
    for step, moved in MOTIONS[motion](run, task, samples):
        network = network_at(run, step).eval()
        row, null = compared(gradient_by_sample(network, guess, replace(batch, step=step)), moved, orders)
        steps, rows, nulls = [*steps, step], [*rows, row], [*nulls, null]
    return _judged(steps, rows, np.stack(nulls), run, guess)


def _between_checkpoints(run: Run, task: Task | None, samples: int) -> Iterator[tuple[int, Weights]]:
    """Give how the weights move from each checkpoint to the next."""
    steps = run.steps
    if len(steps) < 2:
        raise CheckpointError(
            f"{run.path} cannot be tested because motion needs two checkpoints or more; it has {len(steps)}. "
            "Train with more, or test motion='updates'."
        )
    weights = [load_checkpoint(run.path, step)["network"] for step in steps]
    for step, before, after in zip(steps[:-1], weights[:-1], weights[1:], strict=True):
        yield step, {name: after[name] - before[name] for name in before}


def _updates(run: Run, task: Task | None, samples: int) -> Iterator[tuple[int, Weights]]:
    """Give what the rule makes of a batch at each checkpoint."""
    task = own_task(run) if task is None else task
    batch = next(task.seen(samples))
    for step in run.steps:
        trainer = resumed(run, step, task)
        with seeded(0):
            update = update_of(
                trainer.rule, trainer.network, task, replace(batch, step=step), trainer.state, trainer.of_rule
            )
        yield step, {name: -each for name, each in update.items()}


MOTIONS: dict[str, Callable[[Run, Task | None, int], Iterator[tuple[int, Weights]]]] = {
    "checkpoints": _between_checkpoints,
    "updates": _updates,
}


def compared(
    gradient: GradientBySample, moved: Weights, orders: Sequence[Tensor]
) -> tuple[dict[str, dict[str, float]], np.ndarray]:
    """Hold a motion against a gradient.

    Parameters
    ----------
    gradient
        The gradient.
    moved
        The motion; what is left out did not move.
    orders
        Permutations of the samples.

    Returns
    -------
    tuple
        What `moves_along_gradient` gives of each map by its weights' name, and of ``all``; and the null of all.
    """
    downhill = {name: -each for name, each in gradient.true().items()}
    moved = {name: moved.get(name, torch.zeros_like(each)) for name, each in downhill.items()}
    activity = gradient.activity()

    def apart(weights: Weights) -> Weights:
        return {name: without(each, activity[name]) for name, each in weights.items()}

    apart_downhill, apart_moved = apart(downhill), apart(moved)
    names = [*downhill, ALL]
    nulls = np.empty((len(names), len(orders)))
    for column, order in enumerate(orders):
        update = apart({name: -each for name, each in gradient.permuted(order).items()})
        nulls[:, column] = [_cosine(_part(update, name), _part(apart_downhill, name)) for name in names]
    rows = {}
    for name, null in zip(names, nulls, strict=True):
        motion, down = _part(moved, name), _part(downhill, name)
        cosine = _cosine(motion, down)
        found = _cosine(_part(apart_moved, name), _part(apart_downhill, name))
        rows[name] = {
            "cosine": cosine,
            "angle": angle(motion, down),
            "z_isotropic": cosine * len(down) ** 0.5,
            "cosine_apart": found,
            "z_permuted": (found - null.mean()) / null.std(),
            "p_permuted": share_as_large(found, null),
            "distance": float(motion.norm()),
        }
    return rows, nulls[-1]


def without(weights: Tensor, direction: Tensor) -> Tensor:
    """Take out of each unit's weights what lies along a direction of its own; zero if only rounding is left.

    Examples
    --------
    >>> without(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 3.0]]))
    tensor([[1., 0.]], dtype=torch.float64)
    """
    rows, along = weights.flatten(1).double(), direction.flatten(1).double()
    squares = along.square().sum(1, keepdim=True)
    share = (rows * along).sum(1, keepdim=True) / squares.where(squares > 0, torch.ones_like(squares))
    rest = rows - share * along
    return rest if rest.norm() > ROUNDING * rows.norm() else torch.zeros_like(rest)


def _part(weights: Weights, name: str) -> Tensor:
    chosen = list(weights.values()) if name == ALL else [weights[name]]
    return torch.cat([each.flatten() for each in chosen]).double()


def _cosine(a: Tensor, b: Tensor) -> float:
    lengths = float(a.norm() * b.norm())
    return float(a @ b) / lengths if lengths else float("nan")


def _judged(steps: list[int], rows: list[dict], nulls: np.ndarray, run: Run, cost: Task) -> xr.Dataset:
    """Lay the rows out, and add the verdict."""
    tables = {
        kind: (("checkpoint", "layer"), [[row[name][kind] for name in row] for row in rows])
        for kind in rows[0][ALL]
    }
    layers = [name.removesuffix(".weight") for name in rows[0]]
    data = xr.Dataset(tables, {"checkpoint": steps, "layer": layers})
    data["angle"].attrs["units"] = "degrees"
    whole = data["cosine_apart"].sel(layer=ALL).to_numpy()
    moved = ~np.isnan(whole)
    if not moved.any():
        verdict = "does not move along the gradient: nothing moves"
        return with_verdict(data, run, "T2", cost, False, verdict, p=float("nan"))
    p = share_as_large(float(whole[moved].mean()), nulls[moved].mean(0))
    passes = p <= SIGNIFICANT
    verdict = f"{'moves' if passes else 'does not move'} along the gradient (p = {p:.3g}, errors permuted)"
    return with_verdict(data, run, "T2", cost, passes, verdict, p=p)
