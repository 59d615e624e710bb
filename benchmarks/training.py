"""What a step costs under a learning rule, against a step of backprop by hand."""

from collections.abc import Callable

import torch

from benchmarks.rows import Row, times_floor
from benchmarks.timing import fastest
from brainalign.networks import Shape, make_network
from brainalign.rules import find_rule
from brainalign.tasks import Classification, ImageSet
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer

STEPS = 10
TARGETS = {"backprop": 1.1, "feedback_alignment": 1.15, "direct_feedback_alignment": 1.1}


def measure(small: bool) -> list[Row]:
    """Time steps of each rule and of a plain loop in torch, by turns."""
    batch = 8 if small else 128
    ways: dict[str, Callable[[], object]] = {rule: _steps(rule, batch) for rule in TARGETS}
    ways["floor"] = _plain_loop(batch)
    runs = fastest(1 if small else 9, ways)
    floor = runs["floor"].seconds / STEPS
    return [
        times_floor(
            f"training_{rule}",
            f"convnet on 32 × 32 images, batches of {batch}, one step of {rule.replace('_', ' ')} with all "
            "checks: against a step of backprop in plain torch",
            runs[rule].seconds / STEPS,
            floor,
            target,
        )
        for rule, target in TARGETS.items()
    ]


def _task(batch: int) -> Classification:
    generator = torch.Generator().manual_seed(0)
    n = batch * (STEPS + 1)
    images = torch.randint(256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.arange(n) % 10
    categories = tuple(map(str, range(10)))
    return Classification(ImageSet("noise", images, labels, images, labels, categories), batch_size=batch)


def _steps(rule: str, batch: int) -> Callable[[], object]:
    task = _task(batch)
    network = make_network("convnet", Shape(task.preprocessing, 10))
    trainer = Trainer(network, task, find_rule(rule), find_optimizer("momentum"), seed=0)
    trainer.advance()

    def work() -> None:
        for _ in range(STEPS):
            trainer.advance()

    return work


def _plain_loop(batch: int) -> Callable[[], object]:
    """Backprop as anyone would write it, on the same batches."""
    task = _task(batch)
    network = make_network("convnet", Shape(task.preprocessing, 10))
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)
    generator = torch.Generator().manual_seed(0)

    def work() -> None:
        batches = task.batches(generator)
        for _ in range(STEPS):
            given = next(batches)
            optimizer.zero_grad()
            task.cost(network(given.inputs), given).mean().backward()
            optimizer.step()

    work()
    return work
