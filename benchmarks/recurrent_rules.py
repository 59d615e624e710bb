"""What a step costs under a rule over time: against backprop by hand, or its multiply-adds; RTRL over units."""

from collections.abc import Callable

import torch

from benchmarks.multiply_adds import multiply_adds
from benchmarks.rows import Curve, Row, times_floor
from benchmarks.timing import fastest
from brainalign.networks.alif import ALIF
from brainalign.networks.recurrent import RecurrentNetwork
from brainalign.networks.rnn import RNN
from brainalign.networks.untrained import seeded
from brainalign.rules import LearningRule
from brainalign.rules.bptt import BPTT
from brainalign.rules.e_prop import EProp
from brainalign.rules.rflo import RFLO
from brainalign.rules.rtrl import RTRL
from brainalign.tasks import find_task
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer

STEPS = 3
TASK = "center_out:body=velocity"
BPTT_TARGET, COUNTED_TARGET = 1.2, 1.3
COUNTED: dict[str, tuple[LearningRule, type[RecurrentNetwork]]] = {
    "rflo": (RFLO(), RNN),
    "e_prop": (EProp(), ALIF),
}
"""Rules that are held against their multiply-adds, on the units that they were stated for."""


def measure(small: bool) -> list[Row | Curve]:
    """Time steps of each rule and of what it is held against, by turns."""
    return [_against_backprop(small), *_against_count(small), _over_units(small)]


def _against_backprop(small: bool) -> Row:
    batch, units = (4, 16) if small else (64, 256)
    ours = _trainer(BPTT(), RNN, batch, units)
    runs = fastest(1 if small else 9, {"ours": _repeated(ours.advance), "floor": _plain_loop(batch, units)})
    return times_floor(
        "recurrent_rules_bptt",
        f"{TASK}, rnn of {units} units, batches of {batch}, one step of bptt with all checks: against a step "
        "of backprop in plain torch",
        runs["ours"].seconds / STEPS,
        runs["floor"].seconds / STEPS,
        BPTT_TARGET,
    )


def _against_count(small: bool) -> list[Row]:
    batch, units, rows = *((4, 16) if small else (64, 256)), []
    for name, (rule, kind) in COUNTED.items():
        ours, bare = _trainer(rule, kind, batch, units), _trainer(BPTT(), kind, batch, units)
        per_step = multiply_adds(ours.advance) / multiply_adds(bare.advance)
        runs = fastest(1 if small else 9, {"ours": _repeated(ours.advance), "bare": _repeated(bare.advance)})
        rows.append(
            times_floor(
                f"recurrent_rules_{name}",
                f"{TASK}, {kind.__name__.lower()} of {units} units, batches of {batch}, one step of {name}: "
                f"against its multiply-adds ({per_step:.2f} of bptt's) at the speed of bptt's",
                runs["ours"].seconds / STEPS,
                per_step * runs["bare"].seconds / STEPS,
                COUNTED_TARGET,
            )
        )
    return rows


def _over_units(small: bool) -> Curve:
    batch, sizes = (2, [4, 8]) if small else (16, [16, 32, 64, 128])
    seconds = []
    for units in sizes:
        ours = _trainer(RTRL(), RNN, batch, units)
        seconds.append(fastest(1 if small else 3, {"ours": ours.advance})["ours"].seconds)
    claim = f"{TASK}, batches of {batch}, one step of rtrl"
    return Curve("recurrent_rules_rtrl", claim, "units", sizes, seconds, 4.0)


def _trainer(rule: LearningRule, kind: type[RecurrentNetwork], batch: int, units: int) -> Trainer:
    task = find_task(TASK, batch_size=batch)
    trainer = Trainer(_network(kind, units), task, rule, find_optimizer(BPTT.optimizer), seed=0)
    trainer.advance()
    return trainer


def _network(kind: type[RecurrentNetwork], units: int) -> RecurrentNetwork:
    task = find_task(TASK)
    with seeded(0):
        return kind(task.n_inputs, task.n_outputs, units=units)  # pyright: ignore[reportCallIssue]


def _repeated(work: Callable[[], object]) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(STEPS):
            work()

    return repeated


def _plain_loop(batch: int, units: int) -> Callable[[], object]:
    """Backprop as anyone would write it, on the same batches."""
    task, network = find_task(TASK, batch_size=batch), _network(RNN, units)
    optimizer = torch.optim.Adam(network.parameters(), 0.003)
    generator = torch.Generator().manual_seed(0)

    def work() -> None:
        batches = task.batches(generator)
        for _ in range(STEPS):
            given = next(batches)
            optimizer.zero_grad()
            task.cost(task.rollout(network, given), given).mean().backward()
            optimizer.step()

    work()
    return work
