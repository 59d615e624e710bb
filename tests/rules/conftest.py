"""Small tasks and networks in float64, on which rules are held against what is known exactly."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from brainalign.networks import Preprocessing
from brainalign.networks.layered import Block, BlockNetwork, find_activation, xavier_normal
from brainalign.networks.rnn import RNN
from brainalign.networks.untrained import seeded
from brainalign.tasks import Batch, Task, find_task


@dataclass(frozen=True)
class VectorTask(Task):
    """Vectors in, numbers of classes or vectors out."""

    inputs: Tensor
    targets: Tensor
    batch_size: int = 50

    name = "vectors"
    preprocessing = Preprocessing(1, (0.0,), (1.0,))

    @property
    def n_outputs(self) -> int:
        return int(self.targets.max()) + 1 if self.targets.ndim == 1 else self.targets.shape[1]

    @property
    def n_batches(self) -> int:
        return len(self.inputs) // self.batch_size

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        order = torch.randperm(len(self.inputs), generator=generator)
        for chosen in order.split(self.batch_size)[: self.n_batches]:
            yield Batch(self.inputs[chosen], self.targets[chosen])

    def held_out(self, limit: int | None = None) -> Iterator[Batch]:
        yield Batch(self.inputs[:limit], self.targets[:limit])

    seen = held_out

    def cost(self, outputs: Tensor, batch: Batch) -> Tensor:
        if self.targets.ndim == 1:
            return nn.functional.cross_entropy(outputs, batch.targets, reduction="none")
        return 0.5 * (outputs - batch.targets).square().sum(1)


class Stack(BlockNetwork):
    """Fully connected layers of given widths."""

    def __init__(self, widths: tuple[int, ...], activation: str = "tanh"):
        super().__init__()
        self.blocks = nn.Sequential(
            *(
                Block(nn.Linear(n_in, n_out), find_activation(activation)())
                for n_in, n_out in zip(widths[:-2], widths[1:-1], strict=True)
            )
        )
        self.head = nn.Linear(*widths[-2:])
        for layer in self.layers:
            xavier_normal(layer.linear)
        self.double()


@pytest.fixture
def stack():
    """Make a network of layers of given widths, from a seed."""

    def make(widths: tuple[int, ...], activation: str = "tanh", seed: int = 0) -> Stack:
        with seeded(seed):
            return Stack(widths, activation)

    return make


@pytest.fixture
def teacher():
    """Make a classification task whose labels a random network gives."""

    def make(n_inputs: int = 30, n_classes: int = 5, n: int = 1000, seed: int = 0, batch_size: int = 50):
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randn(n, n_inputs, generator=generator, dtype=torch.float64)
        first = torch.randn(n_inputs, 40, generator=generator, dtype=torch.float64)
        second = torch.randn(40, n_classes, generator=generator, dtype=torch.float64)
        labels = (torch.tanh(inputs @ first / n_inputs**0.5) @ second).argmax(1)
        return VectorTask(inputs, labels, batch_size)

    return make


@pytest.fixture
def regression():
    """Make a linear regression task."""

    def make(n_inputs: int = 12, n_outputs: int = 6, n: int = 400, seed: int = 0, batch_size: int = 50):
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randn(n, n_inputs, generator=generator, dtype=torch.float64)
        truth = torch.randn(n_inputs, n_outputs, generator=generator, dtype=torch.float64)
        return VectorTask(inputs, inputs @ truth, batch_size)

    return make


@pytest.fixture
def update():
    """Give the first update of a rule on a batch, with its state."""

    def make(rule, network, task, batch, state=None, seed=0):
        generator = torch.Generator().manual_seed(seed)
        state = rule.init(network, task, generator) if state is None else state
        return next(iter(rule.updates(network, task, batch, state, generator)), {}), state

    return make


@dataclass(frozen=True)
class SequenceTask(VectorTask):
    """Sequences in, sequences of vectors out."""

    batch_size: int = 4

    @property
    def n_inputs(self) -> int:
        return self.inputs.shape[2]

    @property
    def n_outputs(self) -> int:
        return self.targets.shape[2]

    def cost(self, outputs: Tensor, batch: Batch) -> Tensor:
        return 0.5 * (outputs - batch.targets).square().sum((1, 2))


@pytest.fixture
def sequences():
    """Make a task of random sequences, and a recurrent network for it."""

    def make(n_steps: int = 12, n: int = 4, n_inputs: int = 3, n_outputs: int = 2, kind=RNN, seed=0, **options):
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randn(n, n_steps, n_inputs, generator=generator, dtype=torch.float64)
        targets = torch.randn(n, n_steps, n_outputs, generator=generator, dtype=torch.float64)
        task = SequenceTask(inputs, targets)
        with seeded(seed):
            network = kind(n_inputs, n_outputs, **options).double()
        return network, task, next(task.held_out())

    return make


@pytest.fixture
def reaching():
    """Make a reaching task, a recurrent network for it, and a batch in float64."""

    def make(name: str = "center_out:body=velocity,n_targets=4", kind=RNN, seed=0, **options):
        task = find_task(name)
        with seeded(seed):
            network = kind(task.n_inputs, task.n_outputs, **options).double()
        batch = next(task.seen())
        return network, task, replace(batch, inputs=batch.inputs.double(), targets=batch.targets.double())

    return make
