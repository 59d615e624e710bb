"""Whether a network's weights are at an optimum of a guessed cost."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import BrainalignError, NeedsError
from brainalign.tasks.task import Batch, Task
from brainalign.tasks.total_cost import gradient, total_cost
from brainalign.training import Run
from brainalign.trajectory.pushes import move, random_direction
from brainalign.trajectory.resumed import guessed_cost, opened
from brainalign.trajectory.verdicts import SIGNIFICANT, t_interval, with_verdict

FLIPS = 999
FEWEST_BATCHES = 6

REASONS = {
    "no_gradient": "its gradient stands out of the noise of batches",
    "less_than_random": "its gradient is no smaller than at random weights of the same norms",
    "rises": "its cost does not rise in random directions",
}


def at_optimum(
    run: Run | str | Path,
    cost: Task | str | None = None,
    *,
    which: str | Sequence[int] = "all",
    random_states: int = 39,
    directions: int = 20,
    radius: float = 0.1,
    batches: int = 32,
    seed: int = 0,
) -> xr.Dataset:
    r"""Test whether weights are at an optimum of a cost (Marblestone, Wayne & Kording 2016).

    They are where three things hold. The gradient g, the mean of those of B batches, does not stand out of
    their noise: with the batches' signs flipped at random it is as long, (1 + #≥) / (1 + N) > 0.05 of N = 999
    flips. It is shorter than at weights that are permuted within each tensor, (1 + #≤) / (1 + K) ≤ 0.05 of K
    permutations. And the cost rises in random directions d, in which each tensor moves by `radius` times its
    norm,

    .. math::
        \tfrac12 [C(\theta + r d) + C(\theta - r d)] - C(\theta) > 0

    by the 95 % t-interval over directions. The first alone would pass where batches are few, the second far
    from any optimum, the third at weights that were never trained. The more batches, the smaller the gradient
    that is found: `signal_to_noise` says how large it is.

    Parameters
    ----------
    run
        A run or its folder.
    cost
        The guessed cost, as a task or its name; by default that of the run.
    which
        ``all`` checkpoints, the ``last``, or those of some steps.
    random_states
        Permutations of the weights, K.
    directions
        Random directions.
    radius
        Length of a move by that of the weights.
    batches
        Training batches at most, within one epoch.
    seed
        Seed of batches, permutations and directions.

    Returns
    -------
    :
        Dim ``checkpoint`` (steps): ``cost``; ``gradient`` (its norm), ``gradient_of_initial`` and
        ``gradient_of_random`` (over that at the first checkpoint, and over the median of permuted weights);
        ``signal_to_noise``, |g|² without the part that noise adds, over the variance of one batch's gradient;
        ``p_noise``; ``p_random``; ``rise``, its interval ``rise_low`` and ``rise_high``, and ``curvature``
        and ``curvature_downhill``, 2 rise / r², in random directions and along the gradient; ``at_optimum``;
        ``reason``. Attributes ``passes`` and ``verdict`` are those of the last checkpoint.

    Raises
    ------
    NeedsError
        A cost that does not fit the network, or fewer than six batches an epoch.

    Examples
    --------
    >>> from brainalign.training import train
    >>> run = train("mlp:hidden=20", steps=5, checkpoints=2, progress=False)
    >>> at_optimum(run, which="last").attrs["verdict"].partition(";")[0]
    'not at an optimum: its gradient stands out of the noise of batches'
    """
    run = opened(run)
    task = guessed_cost(run, cost)
    if random_states < 19 or directions < 2 or not 0 < radius < float("inf"):
        raise BrainalignError(
            f"{random_states} random states, {directions} directions and radius {radius} test nothing; give 19 "
            "states, 2 directions and a radius above 0 at least."
        )
    shown = list(islice(task.batches(torch.Generator().manual_seed(seed)), batches))
    if len(shown) < FEWEST_BATCHES:
        raise NeedsError(
            f"{run.path} cannot be tested because the noise of batches needs {FEWEST_BATCHES} of them or more; "
            f"an epoch of {task.name!r} has {len(shown)}. Give the cost with a smaller batch_size."
        )
    first = run.checkpoints()[0]
    initial = float(_gradients(first.load(), task, shown).mean(0).norm())
    rows = []
    for checkpoint in run.checkpoints(which):
        network = checkpoint.load()
        generator = torch.Generator().manual_seed(seed)
        row = _of_gradient(network, task, shown, random_states, generator)
        row["gradient_of_initial"] = row["gradient"] / initial if initial else float("nan")
        row |= _of_curvature(network, task, shown, directions, radius, generator)
        met = {
            "no_gradient": row["p_noise"] > SIGNIFICANT,
            "less_than_random": row["p_random"] <= SIGNIFICANT,
            "rises": row["rise_low"] > 0,
        }
        reason = "; ".join(REASONS[name] for name, is_met in met.items() if not is_met)
        rows.append({"checkpoint": checkpoint.step, **row, "at_optimum": not reason, "reason": reason})
    return _dataset(rows, task, run)


def sign_flip_p(gradients: Float[Tensor, "batch weight"], generator: torch.Generator) -> float:
    """Test whether gradients of batches have a mean, by random flips of their signs.

    Exact where a batch's gradient is as likely as its opposite; one where their mean is zero.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> sign_flip_p(torch.ones(12, 3), generator) <= 0.01
    True
    """
    gram = gradients.double() @ gradients.double().T
    signs = torch.randint(2, (FLIPS, len(gram)), generator=generator).double() * 2 - 1
    flipped = ((signs @ gram) * signs).sum(1)
    return (1 + int((flipped >= gram.sum() * (1 - 1e-12)).sum())) / (1 + FLIPS)


def _gradients(network: nn.Module, task: Task, batches: list[Batch]) -> Float[Tensor, "batch weight"]:
    """Give each batch's gradient as a row, zero where it does not reach."""
    names = {name: each for name, each in network.named_parameters() if each.requires_grad}
    rows = []
    for batch in batches:
        found = gradient(network, task, batch)
        rows.append(torch.cat([found.get(n, torch.zeros_like(p)).flatten() for n, p in names.items()]))
    return torch.stack(rows)


def _of_gradient(
    network: nn.Module, task: Task, batches: list[Batch], random_states: int, generator: torch.Generator
) -> dict[str, float]:
    """Compare the gradient with the noise of batches, and with random weights of the same norms."""
    each = _gradients(network, task, batches)
    mean, n = each.mean(0), len(each)
    variance = float((each - mean).square().sum() / (n - 1))
    kept = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    elsewhere = []
    for _ in range(random_states):
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                order = torch.randperm(parameter.numel(), generator=generator)
                parameter.copy_(kept[name].flatten()[order].view_as(parameter))
        elsewhere.append(float(_gradients(network, task, batches).mean(0).norm()))
    network.load_state_dict(kept, strict=False)
    norm, random = float(mean.norm()), np.array(elsewhere)
    return {
        "gradient": norm,
        "gradient_of_random": norm / float(np.median(random)),
        "signal_to_noise": (norm**2 - variance / n) / variance if variance else float("nan"),
        "p_noise": sign_flip_p(each, generator),
        "p_random": float((1 + (random <= norm).sum()) / (1 + random_states)),
    }


def _of_curvature(
    network: nn.Module,
    task: Task,
    batches: list[Batch],
    directions: int,
    radius: float,
    generator: torch.Generator,
) -> dict[str, float]:
    """Measure the cost on both sides of the weights, in random directions and along the gradient."""
    here = _cost(network, task, batches)

    def rise(direction: dict[str, Tensor]) -> float:
        both = 0.0
        for size in (radius, -radius):
            move(network, direction, size)
            both += _cost(network, task, batches)
            move(network, direction, -size)
        return both / 2 - here

    rises = np.array([rise(random_direction(network, generator)) for _ in range(directions)])
    low, high = t_interval(rises)
    return {
        "cost": here,
        "rise": float(rises.mean()),
        "rise_low": low,
        "rise_high": high,
        "curvature": 2 * float(rises.mean()) / radius**2,
        "curvature_downhill": 2 * rise(_downhill(network, task, batches)) / radius**2,
    }


def _downhill(network: nn.Module, task: Task, batches: list[Batch]) -> dict[str, Tensor]:
    """Give the direction against the gradient, as long as all weights together; zero without a gradient."""
    down = -_gradients(network, task, batches).mean(0)
    learned = {name: each.detach() for name, each in network.named_parameters() if each.requires_grad}
    length = torch.stack([each.norm() for each in learned.values()]).norm()
    down = down * (length / down.norm()) if down.norm() > 0 else down
    parts = down.split([each.numel() for each in learned.values()])
    return {name: part.view_as(each) for (name, each), part in zip(learned.items(), parts, strict=True)}


@torch.no_grad()
def _cost(network: nn.Module, task: Task, batches: list[Batch]) -> float:
    return float(np.mean([float(total_cost(network, task, batch)) for batch in batches]))


def _dataset(rows: list[dict], task: Task, run: Run) -> xr.Dataset:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    steps = columns.pop("checkpoint")
    dataset = xr.Dataset(
        {name: ("checkpoint", values) for name, values in columns.items()}, {"checkpoint": steps}
    )
    last = rows[-1]
    verdict = "at an optimum" if last["at_optimum"] else f"not at an optimum: {last['reason']}"
    return with_verdict(dataset, run, "T1", task, last["at_optimum"], verdict)
