"""The networks that are scored: by name or as modules, each with the controls that belong beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, runtime_checkable

import xarray as xr
from torch import nn

from brainalign.data import StimulusSet
from brainalign.networks import (
    RecurrentNetwork,
    is_control,
    load_network,
    parse_network_name,
    preprocessing_of,
)
from brainalign.networks.gabor import SMALLEST_IMAGE

CONTROLS = ("pixels", "gabor")
UNTRAINED_SEEDS = (0, 1, 2)


@runtime_checkable
class TrainedNetwork(Protocol):
    """A network that was trained, and what made it; a checkpoint of a run is one."""

    @property
    def network(self) -> str:
        """Name of the architecture."""
        ...

    @property
    def task(self) -> str:
        """Name of what it learned."""
        ...

    @property
    def rule(self) -> str:
        """Name of the rule by which it learned."""
        ...

    @property
    def seed(self) -> int:
        """Seed of its training."""
        ...

    @property
    def step(self) -> int:
        """Steps of training."""
        ...

    def load(self) -> nn.Module:
        """Build it."""
        ...

    def untrained(self, seed: int) -> nn.Module:
        """Build the same architecture with random weights."""
        ...

    def answers(
        self, stimuli: StimulusSet, event: str, network: nn.Module | None = None
    ) -> dict[str, xr.DataArray]:
        """Let it, or another network, act out conditions without images, by the task that it learned.

        Gives each layer's activity (stimulus, unit, time), in seconds from an event: ``target``, ``go`` or
        ``movement``.
        """
        ...


@runtime_checkable
class TrainingRun(Protocol):
    """A training run: something that has checkpoints."""

    def checkpoints(self) -> Sequence[TrainedNetwork]:
        """Give the networks that it left, in the order of training."""
        ...


@dataclass(frozen=True)
class Candidate:
    """A network under the name that the table gives it.

    Parameters
    ----------
    name
        The column ``network``.
    seed
        Seed of random weights, or −1.
    rule
        ``untrained`` for random weights, else empty where the rule is not known.
    module
        The network, or None to load it by `source` when it is needed.
    source
        The full name by which it is loaded.
    image_size
        Size at which a control sees the images.
    task
        What it learned, or empty where that is not known.
    checkpoint
        Steps of training, or −1 where that is not known.
    trained
        What was trained, in place of a module or a name.
    make
        What builds it, in place of a module or a name.
    answers
        Acts out conditions without images, where it has learned a task that can.
    """

    name: str
    seed: int = -1
    rule: str = ""
    module: nn.Module | None = field(default=None, repr=False)
    source: str = field(default="", compare=False)
    image_size: int | None = None
    task: str = ""
    checkpoint: int = -1
    trained: TrainedNetwork | None = field(default=None, repr=False)
    make: Callable[[], nn.Module] | None = field(default=None, repr=False, compare=False)
    answers: Callable[[StimulusSet, str], dict[str, xr.DataArray]] | None = field(
        default=None, repr=False, compare=False
    )

    @property
    def identity(self) -> tuple[str, str, str, int, int]:
        """What tells it apart in the table."""
        return self.name, self.task, self.rule, self.seed, self.checkpoint

    @property
    def label(self) -> str:
        """Name in a table of differences: the architecture, and what it learned by which rule."""
        return " · ".join([self.name, self.task, self.rule]) if self.task else self.name

    @property
    def control(self) -> bool:
        """Say whether this is a control that is no network, such as pixels."""
        return bool(self.source) and is_control(self.source)

    def load(self) -> nn.Module:
        """Give the network."""
        if self.module is not None:
            return self.module
        return self.make() if self.make is not None else load_network(self.source, self.image_size)


def candidates(network: "Candidate | TrainingRun | Network") -> list[Candidate]:
    """Make candidates: one of a network, one for each checkpoint of a run."""
    if isinstance(network, Candidate):
        return [network]
    if isinstance(network, TrainingRun):
        return [candidate(each) for each in network.checkpoints()]
    return [candidate(network)]


Network = str | nn.Module | tuple[str, nn.Module] | TrainedNetwork


def candidate(network: Network) -> Candidate:
    """Make a candidate of a network's name, a module, a module with a name for the table, or a checkpoint."""
    if isinstance(network, TrainedNetwork):
        return Candidate(
            network.network,
            network.seed,
            network.rule,
            task=network.task,
            checkpoint=network.step,
            trained=network,
            make=network.load,
            answers=network.answers,
        )
    if isinstance(network, tuple):
        return Candidate(network[0], module=network[1])
    if isinstance(network, nn.Module):
        return Candidate(type(network).__name__, module=network)
    parsed = parse_network_name(network)
    if parsed.untrained:
        return Candidate(f"{parsed.base}@untrained", parsed.seed, "untrained", source=network)
    return Candidate(network, source=network)


def with_controls(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Add the controls that a table of networks carries, where they are not there already.

    For each named network its architecture with random weights of three seeds; pixels and a Gabor
    energy bank at the size at which the networks see the images, which a control named without a size
    takes too.
    """
    networks = [each for each in candidates if not each.control]
    loaded = [each.load() for each in networks]
    seeing = [each for each in loaded if not isinstance(each, RecurrentNetwork)]
    sizes = list(dict.fromkeys(preprocessing_of(each).size for each in seeing))
    given, extra = [], []
    for each in candidates:
        given += _sized(each.name, sizes) if each.name in CONTROLS and sizes else [each]
    for each in networks:
        extra += [one for seed in UNTRAINED_SEEDS for one in _untrained(each, seed)]
    for control in CONTROLS:
        extra += _sized(control, sizes)
    # Two that were given under one name stay, for the table's maker to refuse.
    found = {one.identity for one in given}
    for one in extra:
        if one.identity not in found:
            found.add(one.identity)
            given.append(one)
    return given


def _untrained(network: Candidate, seed: int) -> list[Candidate]:
    """Give the architecture with random weights, where it can be built."""
    if network.trained is not None:
        make = partial(network.trained.untrained, seed)
        # Another task may ask for other images and outputs, and so for another network of the same name.
        answers = partial(_untrained_answers, network.trained, seed)
        name = f"{network.name}@untrained"
        return [Candidate(name, seed, "untrained", task=network.task, make=make, answers=answers)]
    if network.source:
        return [candidate(f"{parse_network_name(network.source).base}@untrained:{seed}")]
    return []


def _untrained_answers(
    trained: TrainedNetwork, seed: int, stimuli: StimulusSet, event: str
) -> dict[str, xr.DataArray]:
    return trained.answers(stimuli, event, trained.untrained(seed))


def _sized(control: str, sizes: Sequence[int]) -> list[Candidate]:
    """Give a control at each size that it can take; its name tells the size where there are several."""
    if control == "gabor":
        sizes = list(dict.fromkeys(max(size, SMALLEST_IMAGE) for size in sizes))
    return [
        Candidate(control if len(sizes) == 1 else f"{control}:{size}", source=control, image_size=size)
        for size in sizes
    ]
