"""A training run's folder: its checkpoints, its table, and what made it."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import xarray as xr
from torch import nn

from brainalign.data import StimulusSet
from brainalign.errors import BrainalignError, NeedsError
from brainalign.networks import make_network
from brainalign.rules import find_rule
from brainalign.tasks import find_task
from brainalign.tasks.motor_task import MotorTask
from brainalign.training.checkpoint_file import (
    CheckpointError,
    checkpoint_steps_in,
    is_whole,
    load_checkpoint,
)
from brainalign.training.settings import Settings

TABLE = "training.csv"


@dataclass(frozen=True)
class Checkpoint:
    """A network as it was after some steps of training.

    Parameters
    ----------
    run
        The run that it is of.
    step
        Steps of training.
    """

    run: "Run"
    step: int

    @property
    def network(self) -> str:
        """Name of the architecture."""
        return self.run.settings.network

    @property
    def task(self) -> str:
        """Name of what it learned."""
        return self.run.settings.task

    @property
    def rule(self) -> str:
        """Name of the rule by which it learned."""
        return self.run.settings.rule

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return self.run.settings.seed

    def load(self) -> nn.Module:
        """Build the network, with the weights of this step, in evaluation mode."""
        return self.run.load(self.step)

    def untrained(self, seed: int) -> nn.Module:
        """Build the same architecture with random weights."""
        return make_network(self.network, self.run.settings.shape, seed).eval()

    def answers(
        self, stimuli: StimulusSet, event: str, network: nn.Module | None = None
    ) -> dict[str, xr.DataArray]:
        """Let it, or another network, act out conditions without images, by the task that it learned.

        Raises
        ------
        NeedsError
            A task that is not one of movement.
        """
        task = find_task(self.task)
        if not isinstance(task, MotorTask):
            raise NeedsError(
                f"{self.run.path} has learned {self.task!r}, which has no conditions to act out without "
                "images; give a run of a task of movement, such as center_out."
            )
        return task.answers(self.load() if network is None else network, stimuli, event)


@dataclass(frozen=True)
class Run:
    """A training run, finished or not.

    Parameters
    ----------
    path
        Its folder.
    settings
        What made it.
    template
        The network, where it was given as a module and cannot be built by its name.
    """

    path: Path
    settings: Settings
    template: nn.Module | None = field(default=None, repr=False)

    @classmethod
    def open(cls, path: str | Path, template: nn.Module | None = None) -> "Run":
        """Open a run's folder.

        Raises
        ------
        BrainalignError
            The folder is not a run's.
        """
        return cls(Path(path), Settings.load(Path(path)), template)

    @property
    def steps(self) -> list[int]:
        """Steps of the checkpoints that are there."""
        return checkpoint_steps_in(self.path)

    @property
    def finished(self) -> bool:
        """Whether all checkpoints are there, whole, and measured."""
        wanted = list(self.settings.checkpoints)
        return (
            self.steps == wanted
            and sorted(read_table(self.path)) == wanted
            and all(is_whole(self.path, step) for step in wanted)
        )

    @property
    def table(self) -> pd.DataFrame:
        """What was measured at the checkpoints: loss, accuracy, angles and norms."""
        return pd.read_csv(self.path / TABLE)

    def checkpoints(self, which: str | Sequence[int] = "all") -> list[Checkpoint]:
        """Give all checkpoints, the ``last``, or those of some steps.

        Raises
        ------
        CheckpointError
            There is none, or none of a step that was asked for.
        """
        steps = self.steps
        if not steps:
            raise CheckpointError(f"{self.path} has no checkpoint; train first.")
        if which == "all":
            return [Checkpoint(self, step) for step in steps]
        if which == "last":
            return [Checkpoint(self, steps[-1])]
        wanted = [which] if isinstance(which, str) else list(which)
        for step in wanted:
            if not str(step).isdecimal() or int(step) not in steps:
                there = ", ".join(map(str, steps))
                raise CheckpointError(f"{self.path} has no checkpoint {step!r}; there are: {there}, or last.")
        return [Checkpoint(self, int(step)) for step in wanted]

    def load(self, step: int) -> nn.Module:
        """Build the network with the weights of a step: what the rule says is evaluated and probed."""
        settings = self.settings
        parts = load_checkpoint(self.path, step)
        if self.template is not None:
            network = copy.deepcopy(self.template)
        elif settings.network.startswith("module "):
            raise BrainalignError(
                f"The network of {self.path} was given as a {settings.network}; open the run with it: "
                "Run.open(path, network)."
            )
        else:
            network = make_network(settings.network, settings.shape, settings.seed)
        network.load_state_dict(parts["network"])
        return find_rule(settings.rule).inference(network.eval(), parts["rule"])


def read_table(folder: Path) -> dict[int, dict]:
    """Give what was measured by step; nothing where there is no table that can be read."""
    try:
        rows = pd.read_csv(folder / TABLE).to_dict("records")
        return {int(row["step"]): row for row in rows}
    except (OSError, ValueError, KeyError):
        return {}


def open_run(name: str) -> list[Checkpoint] | None:
    """Give the checkpoints of a run that a name stands for: ``DIR``, ``DIR@last`` or ``DIR@STEP``.

    None where the name is not that of a folder with a run in it.
    """
    folder, at, which = name.rpartition("@")
    if not at or not (Path(folder) / "run.toml").is_file():
        folder, which = name, "all"
    if not (Path(folder) / "run.toml").is_file():
        return None
    return Run.open(folder).checkpoints(which)
