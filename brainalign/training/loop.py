"""The training loop: batches in, checkpoints out, and the same bytes however often it is killed."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from brainalign.errors import BrainalignError
from brainalign.files import written_whole
from brainalign.rules import LearningRule, State
from brainalign.rules.rule import TRAINABLE
from brainalign.tasks.task import Batch, Task
from brainalign.training.angles import update_table
from brainalign.training.checkpoint_file import (
    CheckpointError,
    Parts,
    checkpoint_path,
    checkpoint_steps_in,
    load_checkpoint,
    save_checkpoint,
)
from brainalign.training.measure import measure, readout_accuracy
from brainalign.training.optimizers import Optimizer
from brainalign.training.run import TABLE

ANGLE_BATCH = 128
"""Training images on which updates are held against backprop's."""

Say = Callable[[str], None]


class DivergedError(BrainalignError):
    """Training gave weights or costs that are no numbers; the last good checkpoint stays."""


class Training:
    """Everything that changes while a network is trained.

    Parameters
    ----------
    network, task, rule
        What is trained, on what, how.
    optimizer
        By which updates are applied.
    seed
        Seed of the order of the images and of the rule's random numbers.
    device
        Where.
    """

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        rule: LearningRule,
        optimizer: Optimizer,
        seed: int,
        device: torch.device | str = "cpu",
    ):
        self.network = network.to(device).train()
        self.task, self.rule, self.device, self.step = task, rule, device, 0
        if task.module is not None:
            task.module.to(device)
        rule.check(network, task)
        self.of_images = torch.Generator().manual_seed(_derived(seed, 1))
        self.of_rule = torch.Generator().manual_seed(_derived(seed, 2))
        self._epoch = self.of_images.get_state()
        self.state: State = rule.init(network, task, self.of_rule)
        self.parameters = _trained(network, task, self.state)
        self._optimizer = optimizer.make(_groups(rule, self.parameters))
        self._batches = self._endless()

    def _endless(self, skip: int = 0) -> Iterator[Batch]:
        while True:
            self._epoch = self.of_images.get_state()
            yield from islice(self.task.batches(self.of_images), skip, None)
            skip = 0

    def advance(self) -> None:
        """Take one step: a batch, and each update that the rule makes of it.

        Raises
        ------
        DivergedError
            An update that is no number.
        """
        batch = dataclasses.replace(next(self._batches).to(self.device), step=self.step)
        for update in self.rule.updates(self.network, self.task, batch, self.state, self.of_rule):
            self._apply(update)
        self.step += 1

    def _apply(self, update: dict[str, Tensor]) -> None:
        unknown = [name for name in update if name not in self.parameters]
        if unknown:
            raise BrainalignError(
                f"Rule {self.rule.name!r} gave an update for {unknown[0]!r}, which is no parameter of the "
                "network, the task or the rule's trainable state."
            )
        size = torch.nn.utils.get_total_norm(list(update.values())) if update else torch.zeros(())
        if not torch.isfinite(size):
            raise DivergedError(f"Step {self.step}: the update is no number.")
        for name, parameter in self.parameters.items():
            parameter.grad = update.get(name)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def measure(self, limit: int | None) -> dict[str, int | float]:
        """Measure the network as it is, on images held out from training, and on some of those seen.

        Raises
        ------
        DivergedError
            The loss is no number.
        """
        network = self.rule.inference(self.network.eval(), self.state)

        def moved(batches: Iterator[Batch]) -> Iterator[Batch]:
            return (batch.to(self.device) for batch in batches)

        row = {"step": self.step, "epoch": self.step / self.task.n_batches}
        row |= measure(network, self.task, moved(self.task.held_out(limit)))
        seen = measure(network, self.task, moved(self.task.seen(limit)))
        row |= {"train_loss": seen["loss"], "train_accuracy": seen["accuracy"]}
        named = self.task.names_categories and self.rule.trains_readout
        if self.task.categories and not named:
            row |= readout_accuracy(
                network,
                moved(self.task.labelled(held_out=False, limit=limit)),
                moved(self.task.labelled(held_out=True, limit=limit)),
                self.task.categories,
            )
        self.network.train()
        batch = next(self.task.seen(ANGLE_BATCH)).to(self.device)
        batch = dataclasses.replace(batch, step=self.step)
        row |= update_table(self.rule, self.network, self.task, batch, self.state, self.of_rule)
        if not (row["loss"] < float("inf") and row["train_loss"] < float("inf")):
            raise DivergedError(f"Step {self.step}: the loss is no number.")
        return row

    def parts(self) -> Parts:
        """Give all that a checkpoint must hold."""
        of_optimizer = {
            f"{key}.{name}": value
            for name, parameter in self.parameters.items()
            for key, value in self._optimizer.state[parameter].items()
            if isinstance(value, Tensor)
        }
        of_task = self.task.module.state_dict() if self.task.module is not None else {}
        generators = {"images": self._epoch, "rule": self.of_rule.get_state()}
        return {
            "network": self.network.state_dict(),
            "rule": self.state,
            "task": of_task,
            "optimizer": of_optimizer,
            "generator": generators,
        }

    @torch.no_grad()
    def restore(self, step: int, parts: Parts) -> None:
        """Go back to a checkpoint."""
        self.network.load_state_dict(parts["network"])
        if self.task.module is not None:
            self.task.module.load_state_dict(parts["task"])
        for name, value in parts["rule"].items():
            if name.startswith(TRAINABLE):
                self.state[name].copy_(value)
            else:
                self.state[name] = value.to(self.device)
        self._optimizer.state.clear()
        for key, value in parts["optimizer"].items():
            kind, _, name = key.partition(".")
            self._optimizer.state[self.parameters[name]][kind] = value
        self.of_images.set_state(parts["generator"]["images"].cpu())
        self.of_rule.set_state(parts["generator"]["rule"].cpu())
        self.step = step
        # An epoch's batches come anew from where its generator stood, up to the one that is next.
        self._batches = self._endless(skip=step % self.task.n_batches)


def run_loop(
    training: Training, folder: Path, checkpoints: Sequence[int], limit: int | None, progress: bool, say: Say
) -> None:
    """Train up to the last checkpoint, going on from the last one that is whole.

    Raises
    ------
    DivergedError
        Names the step, and the last good checkpoint.
    """
    rows = _resume(training, folder, checkpoints, say)
    bar = tqdm(
        total=checkpoints[-1],
        initial=training.step,
        desc=training.rule.name,
        unit="step",
        delay=2,
        leave=False,
        disable=None if progress else True,
    )
    try:
        with bar:
            for step in (step for step in checkpoints if step >= training.step):
                if rows and rows[-1]["step"] == step:
                    continue
                while training.step < step and training.rule.learns:
                    training.advance()
                    bar.update()
                training.step = step
                rows.append(training.measure(limit))
                save_checkpoint(folder, step, training.parts())
                _save_table(rows, folder)
    except DivergedError as error:
        last = rows[-1]["step"] if rows else None
        kept = f"The checkpoint of step {last} is kept" if rows else "No checkpoint was made"
        raise DivergedError(
            f"{error} {kept} in {folder}. Train again with a lower learning rate, in another folder."
        ) from error


def _resume(training: Training, folder: Path, checkpoints: Sequence[int], say: Say) -> list[dict]:
    """Restore the last checkpoint before which all are whole and measured; drop those after it."""
    rows: list[dict] = []
    measured = {}
    if (folder / TABLE).is_file():
        table = pd.read_csv(folder / TABLE)
        measured = {int(row["step"]): row for row in table.to_dict("records")}
    good: Parts = {}
    for step in checkpoints:
        if step not in measured:
            break
        try:
            good = load_checkpoint(folder, step)
        except CheckpointError as error:
            if checkpoint_path(folder, step).exists():
                say(f"{error}")
            break
        rows.append(measured[step])
    for step in checkpoint_steps_in(folder):
        if step not in [row["step"] for row in rows]:
            checkpoint_path(folder, step).unlink()
    if rows:
        training.restore(int(rows[-1]["step"]), good)
        if rows[-1]["step"] < checkpoints[-1]:
            say(f"{folder}: going on from step {training.step}")
    return rows


def _save_table(rows: Sequence[dict], folder: Path) -> None:
    with written_whole(folder / TABLE) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.6g")


def _trained(network: nn.Module, task: Task, state: State) -> dict[str, Tensor]:
    """Give what the optimiser may change, by the names that updates use."""
    of_task = dict(task.module.named_parameters(prefix="task")) if task.module is not None else {}
    of_rule = {name: tensor for name, tensor in state.items() if name.startswith(TRAINABLE)}
    return dict(network.named_parameters()) | of_task | of_rule


def _groups(rule: LearningRule, parameters: dict[str, Tensor]) -> list[dict]:
    """Group parameters by the factor of their learning rate."""
    groups: dict[float, list[Tensor]] = {}
    for name, parameter in parameters.items():
        groups.setdefault(rule.learning_rate_factor(name), []).append(parameter)
    return [{"params": members, "factor": factor} for factor, members in groups.items()]


def _derived(seed: int, stream: int) -> int:
    """Give a seed of its own to each stream of random numbers."""
    return (seed * 0x9E3779B97F4A7C15 + stream * 0xBF58476D1CE4E5B9) % 2**63
