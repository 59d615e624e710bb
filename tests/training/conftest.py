"""A rule of two phases with a state of its own, and a quick training run."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch

from brainalign.rules import RULES, LearningRule
from brainalign.tasks.total_cost import gradient
from brainalign.training import train


@dataclass(frozen=True)
class TwoPhases(LearningRule):
    """A first update of a trainable state, a second of the network by what the first has made of it."""

    name = "two_phases"
    family = feedback = locality = source = "test"
    phases, passes = 2, 3.0

    def init(self, network, task, generator):
        return {
            "trainable.gain": torch.ones(1),
            "trace": torch.zeros(1),
            "noise": torch.zeros(1),
        }

    def learning_rate_factor(self, name: str) -> float:
        return 10.0 if name == "trainable.gain" else 1.0

    def updates(self, network, task, batch, state, generator) -> Iterator[dict[str, torch.Tensor]]:
        yield {"trainable.gain": torch.full((1,), 0.1)}
        state["trace"] = 0.9 * state["trace"] + state["trainable.gain"]
        state["noise"] = torch.randn(1, generator=generator)
        found = gradient(network, task, batch)
        yield {name: each * (state["trainable.gain"] + 0.01 * state["noise"]) for name, each in found.items()}


@pytest.fixture
def two_phases(monkeypatch):
    """Put the rule of two phases into the catalogue."""
    monkeypatch.setitem(RULES, "two_phases", TwoPhases)
    return TwoPhases


@pytest.fixture
def quick(tmp_path):
    """Train a small network on the digits for a few steps, in a folder of the test's own."""

    def run(rule="backprop", folder="run", **options):
        options = {"steps": 30, "checkpoints": 6, "evaluate_on": 100, "progress": False} | options
        return train("mlp:hidden=20", rule=rule, out=tmp_path / folder, **options)

    return run


@pytest.fixture
def contents():
    """Give every file that a run has left, by its name, as bytes."""

    def read(run):
        return {
            str(path.relative_to(run.path)): path.read_bytes()
            for path in sorted(run.path.rglob("*"))
            if path.is_file() and path.name != ".lock"
        }

    return read
