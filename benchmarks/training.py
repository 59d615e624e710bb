"""What a step costs under a learning rule: against backprop by hand, its multiply-adds, or a loop."""

from collections.abc import Callable

import torch

from benchmarks.multiply_adds import multiply_adds
from benchmarks.rows import Row, times_faster, times_floor
from benchmarks.timing import fastest
from brainalign.networks import Shape, make_network
from brainalign.rules import find_rule
from brainalign.rules.evolution_strategies import EvolutionStrategies
from brainalign.rules.node_perturbation import NodePerturbation
from brainalign.rules.weight_perturbation import WeightPerturbation
from brainalign.tasks import Classification, ImageSet
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer

STEPS = 10
TARGETS = {
    "backprop": 1.1,
    "feedback_alignment": 1.15,
    "direct_feedback_alignment": 1.1,
    "sign_symmetry_uniform": 1.15,
    "sign_symmetry_batch_random": 1.15,
    "sign_symmetry_fixed_random": 1.15,
    "weight_mirror": 1.5,
    "kolen_pollack": 1.5,
    "local_pred": 1.5,
    "local_sim": 1.5,
    "local_predsim": 1.5,
    "local_sim:kernel=0": 1.5,
    "local_predsim:kernel=0": 1.5,
    "clapp": 1.5,
}
"""Budget of a step on a convolutional network, in steps of backprop by hand."""

COUNTED = (
    "target_propagation",
    "difference_target_propagation",
    "simplified_dtp",
    "dtp_drl",
    "dtp_l_drl",
    "pepita",
    "forward_forward",
)
"""Rules that are held against their multiply-adds, on the full layers that they were stated for."""
COUNTED_TARGET, HIDDEN = 1.3, "1024-1024-1024"

VECTORISED = (WeightPerturbation, NodePerturbation, EvolutionStrategies)
"""Rules whose perturbations run at once, held against one after the other."""
VECTORISED_TARGET, PERTURBATIONS = 5.0, 64


def measure(small: bool) -> list[Row]:
    """Time steps of each rule and of what it is held against, by turns."""
    return [*_against_backprop(small), *_against_count(small), *_against_loop(small)]


def _against_backprop(small: bool) -> list[Row]:
    batch = 8 if small else 128
    rows = []
    for rule, target in TARGETS.items():
        # Rule by rule: how memory is handed out, by which a step may cost half as much again, depends on what
        # else the process does.
        ways = {"ours": _repeated(_trainer(rule, "convnet", batch).advance), "plain": _plain_loop(batch)}
        runs = fastest(1 if small else 25, ways)
        rows.append(
            times_floor(
                f"training_{rule}",
                f"convnet on 32 × 32 images, batches of {batch}, one step of {rule} with all "
                "checks: against a step of backprop in plain torch",
                runs["ours"].seconds / STEPS,
                runs["plain"].seconds / STEPS,
                target,
            )
        )
    return rows


def _against_count(small: bool) -> list[Row]:
    batch, network = (8, "mlp:hidden=20-20") if small else (128, f"mlp:hidden={HIDDEN}")
    rows = []
    for rule in COUNTED:
        ours = _trainer(rule, network, batch)
        kind = find_rule(rule)
        bare = _trainer("backprop", network, batch, kind.activation, kind.optimizer)
        per_step = multiply_adds(ours.advance) / multiply_adds(bare.advance)
        runs = fastest(1 if small else 5, {"ours": _repeated(ours.advance), "bare": _repeated(bare.advance)})
        rows.append(
            times_floor(
                f"training_{rule}",
                f"{network} on 32 × 32 images, batches of {batch}, one step of {rule}: "
                f"against its multiply-adds ({per_step:.2f} of backprop's) at the speed of backprop's",
                runs["ours"].seconds / STEPS,
                per_step * runs["bare"].seconds / STEPS,
                COUNTED_TARGET,
            )
        )
    return rows


def _against_loop(small: bool) -> list[Row]:
    batch = 10
    samples = 8 if small else PERTURBATIONS
    rows = []
    for kind in VECTORISED:
        task, generator = _task(batch, 8), torch.Generator().manual_seed(0)
        rule = kind(samples=samples)
        network = make_network("mlp:hidden=20", Shape(task.preprocessing, 10, rule.activation)).train()
        given = network, task, next(task.batches(generator)), generator
        runs = fastest(
            1 if small else 9,
            {
                "ours": _repeated(lambda rule=rule, given=given: rule.estimate(*given)),
                "loop": _repeated(lambda rule=rule, given=given: rule.estimate(*given, loop=True)),
            },
        )
        rows.append(
            times_faster(
                f"training_{kind.name}",
                f"mlp:hidden=20 on 8 × 8 images, batches of {batch}, {samples} perturbations of "
                f"{kind.name} at once: against one by one",
                runs["ours"].seconds / STEPS,
                runs["loop"].seconds / STEPS,
                VECTORISED_TARGET,
            )
        )
    return rows


def _task(batch: int, size: int = 32) -> Classification:
    generator = torch.Generator().manual_seed(0)
    n = batch * (STEPS + 1)
    images = torch.randint(256, (n, 3, size, size), generator=generator, dtype=torch.uint8)
    labels = torch.arange(n) % 10
    categories = tuple(map(str, range(10)))
    return Classification(ImageSet("noise", images, labels, images, labels, categories), batch_size=batch)


def _trainer(rule: str, network: str, batch: int, activation: str = "", optimizer: str = "momentum") -> Trainer:
    task, kind = _task(batch), find_rule(rule)
    shape = Shape(task.preprocessing, 10, activation or kind.activation)
    optimizer = kind.optimizer if rule in COUNTED else optimizer
    trainer = Trainer(make_network(network, shape), task, kind, find_optimizer(optimizer), seed=0)
    trainer.step = 10**6  # past any steps in which only a part of the rule learns
    trainer.advance()
    return trainer


def _repeated(work: Callable[[], object]) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(STEPS):
            work()

    return repeated


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
