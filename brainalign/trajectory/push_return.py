"""Whether a network that is pushed off its weights, or given another read-out, learns its way back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from brainalign.errors import BrainalignError
from brainalign.metrics.cka import cka
from brainalign.metrics.gram_kernel import gram_of
from brainalign.names import unknown_name
from brainalign.rules.noisy_maps import pass_through_maps
from brainalign.tasks.task import Batch, Task
from brainalign.training import Run, checkpoint_steps
from brainalign.training.measure import measure
from brainalign.training.trainer import Trainer
from brainalign.trajectory.constant_answer import cost_of_constant
from brainalign.trajectory.pushes import PUSHES, readout_names
from brainalign.trajectory.resumed import (
    advanced,
    built,
    guessed_cost,
    opened,
    own_task,
    resumed,
    taught_readout,
)
from brainalign.trajectory.retargeted import next_category, permuted_targets
from brainalign.trajectory.verdicts import t_interval, with_verdict

ARMS = ("own", "other", "still", "unpushed")
QUANTITIES = {"weights": ("cost", "representation", "weights"), "readout": ("cost",)}
"""What a push takes away, so that it can be recovered."""
HALF = 0.5
NAN = float("nan")


def returns_after_push(
    run: Run | str | Path,
    push: str = "weights",
    *,
    size: float = 1.0,
    steps: int = 100,
    pushes: int = 5,
    other: Task | str | None = None,
    task: Task | None = None,
    records: int = 6,
    samples: int = 200,
    seed: int = 0,
) -> xr.Dataset:
    r"""Test whether a network returns to where it was pushed from (Marblestone, Wayne & Kording 2016).

    From the last checkpoint θ*, each of several pushes leads to θ_p, and training goes on under the same rule,
    optimiser and images. Of a quantity q, the cost or a distance to θ*, it has recovered the share

    .. math:: [q(\theta_p) - q(\theta_t)]\, /\, [q(\theta_p) - q(\theta^*)]

    A push can make answers worse than none: where the cost at θ_p is above that of the best answer that is
    always the same, that one takes its place, for coming down to it recovers nothing.

    Three controls: the same push, then training on another cost (``other``) or none (``still``); and training
    without a push (``unpushed``), which drifts too.

    Parameters
    ----------
    run
        A run or its folder.
    push
        ``weights``: a random direction, in which each tensor moves by `size` times its norm. ``readout``: the
        outputs' units are permuted, and the read-out learns no more, as the decoder of a brain–machine
        interface; hidden layers stay as they are, and only the cost can be recovered.
    size
        Length of a push of weights, by the weights' own.
    steps
        Training steps after a push.
    pushes
        How many, each from θ*.
    other
        The other cost: by default the categories renamed, or without categories targets permuted over samples.
    task
        The task that the run was trained on, where its name does not make it.
    records
        Times, log-spaced, at which is measured.
    samples
        Training images at most, on which is measured.
    seed
        Seed of the pushes.

    Returns
    -------
    :
        Dims ``arm`` (own, other, still, unpushed), ``push``, ``step`` after it, and for ``cka`` (debiased, with
        the answers at θ*) ``layer``. ``cost``; ``distance`` to θ* and ``travelled``, the length of the path
        from record to record, both by the length of the push; ``recovered_cost``, ``recovered_weights`` and
        ``recovered_representation`` (of 1 − CKA, the layers' mean). NaN where a push took nothing away, and
        from where training gave no numbers any more. Attributes ``recovered``, names of the quantities of
        which the run has in the end recovered more than half, and more than either control, by 95 %
        t-intervals over pushes (a share below 0 counts as 0); ``passes``, whether the cost is one;
        ``control_passes``, whether it was recovered under the other cost; ``verdict``.

    Raises
    ------
    NeedsError
        A rule that trains no read-out, or a cost that does not fit the network.
    BrainalignError
        Fewer than three pushes, or one of no size.

    Examples
    --------
    >>> from brainalign.training import train
    >>> run = train("mlp:hidden=20", steps=60, checkpoints=2, progress=False)
    >>> returns_after_push(run, steps=40, pushes=3).attrs["passes"]
    1
    """
    run = opened(run)
    taught_readout(run)
    if push not in PUSHES:
        raise unknown_name("push", push, PUSHES)
    if pushes < 3 or not 0 < size < float("inf") or steps < 1:
        raise BrainalignError(
            f"{pushes} pushes of size {size} and {steps} steps test nothing; give three pushes, a size above 0 "
            "and a step at least."
        )
    own = own_task(run) if task is None else task
    if other is None:
        other = next_category(own) if own.names_categories else permuted_targets(own)
    other, last, at = guessed_cost(run, other), run.steps[-1], checkpoint_steps(steps, records)
    fixed = readout_names(built(run), own) if push == "readout" else ()
    start = resumed(run, last, own, fixed=fixed)
    view = _View(own, next(own.seen(samples)), _weights(start.network), {})
    view.grams.update(view.representation(start.network))

    def followed(number: int, driven_by: Task | None = None, learns: bool = True) -> list[dict]:
        trainer = resumed(run, last, own, driven_by, fixed)
        PUSHES[push](trainer.network, own, size, torch.Generator().manual_seed(1000 * seed + number))
        return list(view.followed(trainer, at if learns else [0]))

    unpushed = list(view.followed(start, at))
    found = {
        "own": [followed(number) for number in range(pushes)],
        "other": [followed(number, other) for number in range(pushes)],
        "still": [followed(number, learns=False) * len(at) for number in range(pushes)],
        "unpushed": [unpushed] * pushes,
    }
    data = _dataset(found, at, cost_of_constant(own, view.batch))
    return _judged(data, run, own, other, push)


@dataclass(frozen=True)
class _View:
    """What is measured while a network trains on.

    Parameters
    ----------
    task, batch
        The run's own task, and images of it.
    weights, grams
        Where the network was pushed from: its weights, and its layers' Gram matrices.
    """

    task: Task
    batch: Batch
    weights: Tensor
    grams: dict[str, np.ndarray]

    def followed(self, trainer: Trainer, at: Sequence[int]) -> Iterator[dict]:
        """Train on, and measure at each record; NaN from where there are no numbers any more."""
        begun, before, path = trainer.step, _weights(trainer.network), 0.0
        for number, step in enumerate(at):
            grams = self.representation(trainer.network) if advanced(trainer, begun + step) else {}
            if not grams:
                missing = dict.fromkeys(self.grams, NAN)
                nothing = {"cost": NAN, "distance": NAN, "travelled": NAN, "cka": missing}
                yield from [nothing] * (len(at) - number)
                return
            now = _weights(trainer.network)
            path += float((now - before).norm())
            before = now
            network = trainer.rule.inference(trainer.network.eval(), trainer.state)
            cost = measure(network, self.task, [self.batch])["loss"]
            trainer.network.train()
            yield {
                "cost": cost,
                "distance": float((now - self.weights).norm()),
                "travelled": path,
                "cka": {name: cka(gram, self.grams[name]) for name, gram in grams.items()},
            }

    @torch.no_grad()
    def representation(self, network: nn.Module) -> dict[str, np.ndarray]:
        """Give the Gram matrix of what each linear map that learns answers; none if that is no number."""
        network.eval()
        _, maps, _ = pass_through_maps(network, self.task, self.batch)
        network.train()
        answers = {each.name.removesuffix(".weight"): each.answer.flatten(1).double().numpy() for each in maps}
        finite = all(np.isfinite(answer).all() for answer in answers.values())
        return {name: gram_of(answer) for name, answer in answers.items()} if finite else {}


def _weights(network: nn.Module) -> Tensor:
    return torch.cat([each.detach().double().flatten() for each in network.parameters()])


def _dataset(found: dict[str, list[list[dict]]], at: Sequence[int], constant: float) -> xr.Dataset:
    dims, layers = ("arm", "push", "step"), list(found["own"][0][0]["cka"])

    def table(pick: Callable[[dict], object]) -> np.ndarray:
        return np.array([[[pick(record) for record in path] for path in found[arm]] for arm in ARMS])

    data = xr.Dataset(
        {
            name: (dims, table(lambda record, name=name: record[name]))
            for name in ("cost", "distance", "travelled")
        }
        | {"cka": ((*dims, "layer"), table(lambda record: list(record["cka"].values())))},
        {"arm": list(ARMS), "push": range(len(found["own"])), "step": list(at), "layer": layers},
    )
    pushed = data.sel(arm="still", step=0, drop=True)
    data["distance"], data["travelled"] = (
        data[name] / pushed["distance"] for name in ("distance", "travelled")
    )
    away = {"cost": "cost", "weights": "distance", "representation": "unlike"}
    data["unlike"] = 1 - data["cka"].mean("layer")
    for quantity, measured in away.items():
        first, goal = (data[measured].sel(arm=arm, step=0, drop=True) for arm in ("still", "unpushed"))
        first = first.clip(max=constant) if quantity == "cost" else first
        taken = first - goal
        data[f"recovered_{quantity}"] = ((first - data[measured]) / taken).where(taken > 1e-9)
    return data.drop_vars("unlike")


def _judged(data: xr.Dataset, run: Run, own: Task, other: Task, push: str) -> xr.Dataset:
    """Add the verdict."""
    last = data.isel(step=-1)

    def recovers(quantity: str, arm: str, controls: tuple[str, ...]) -> bool:
        # What is driven further off than the push has recovered nothing, however far.
        shares = last[f"recovered_{quantity}"].fillna(0).clip(0)
        values = shares.sel(arm=arm).to_numpy()
        more = [t_interval(values - shares.sel(arm=each).to_numpy())[0] > 0 for each in controls]
        return bool(t_interval(values)[0] > HALF and all(more))

    recovered = [q for q in QUANTITIES[push] if recovers(q, "own", ("other", "still"))]
    lost = [q for q in QUANTITIES[push] if q not in recovered]
    return with_verdict(
        data,
        run,
        "T3",
        own,
        "cost" in recovered,
        f"recovers {', '.join(recovered) or 'nothing'}" + (f"; not {', '.join(lost)}" if lost else ""),
        push=push,
        other=other.name,
        recovered=", ".join(recovered),
        control_passes=int(recovers("cost", "other", ("still",))),
    )
