"""Everything that changes while a network is trained, one step at a time."""

import dataclasses
from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor, nn

from brainalign.errors import BrainalignError, DivergedError
from brainalign.networks.recurrent import RecurrentNetwork
from brainalign.networks.untrained import seeded
from brainalign.rules import LearningRule, State
from brainalign.rules.rule import TRAINABLE
from brainalign.tasks.task import Batch, Task
from brainalign.training.angles import update_table
from brainalign.training.checkpoint_file import CheckpointError, Parts
from brainalign.training.measure import measure, readout_accuracy
from brainalign.training.optimizers import Optimizer

ANGLE_BATCH = 128
"""Training images on which updates are held against backprop's."""


class Trainer:
    """A network in training: takes steps, measures itself, and can be kept and restored.

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
        self.frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
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
        # Dropout draws from torch's own numbers, which are in no checkpoint; they follow from the rule's.
        drawn = int(torch.randint(2**62, (), generator=self.of_rule))
        with seeded(drawn):
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
            parameter.grad = None if name in self.frozen else update.get(name)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            self.rule.after_update(self.network, self.state)
            if isinstance(self.network, RecurrentNetwork):
                self.network.constrain()

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
        if not (row["loss"] < float("inf") and row["train_loss"] < float("inf")):
            raise DivergedError(f"Step {self.step}: the loss is no number.")
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
        return row | update_table(self.rule, self.network, self.task, batch, self.state, self.of_rule)

    def parts(self) -> Parts:
        """Give all that a checkpoint must hold."""
        of_optimizer = {
            f"{key}.{name}": value
            for name, parameter in self.parameters.items()
            for key, value in self._optimizer.state[parameter].items()
            if isinstance(value, Tensor)
        }
        of_task = self.task.module.state_dict() if self.task.module is not None else {}
        # At an epoch's end the next one begins where the generator stands now.
        ended = self.step % self.task.n_batches == 0
        images = self.of_images.get_state() if ended else self._epoch
        generators = {"images": images, "rule": self.of_rule.get_state()}
        return {
            "network": self.network.state_dict(),
            "rule": self.state,
            "task": of_task,
            "optimizer": of_optimizer,
            "generator": generators,
        }

    @torch.no_grad()
    def restore(self, step: int, parts: Parts) -> None:
        """Go back to a checkpoint.

        Raises
        ------
        CheckpointError
            It is of another network.
        """
        try:
            self.network.load_state_dict(parts["network"])
        except RuntimeError as error:
            raise CheckpointError(f"The checkpoint of step {step} is of another network: {error}") from error
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
            # torch counts an optimiser's steps on the CPU, whatever the device.
            device = "cpu" if kind == "step" else self.device
            self._optimizer.state[self.parameters[name]][kind] = value.to(device)
        self.of_images.set_state(parts["generator"]["images"].cpu())
        self.of_rule.set_state(parts["generator"]["rule"].cpu())
        self.step = step
        # An epoch's batches come anew from where its generator stood, up to the one that is next.
        self._batches = self._endless(skip=step % self.task.n_batches)


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
