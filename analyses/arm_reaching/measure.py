"""Reaching with MotorNet's arm, and with a point mass, by every rule that trains recurrent networks.

``nice python analyses/arm_reaching/measure.py`` (an hour of one core; goes on where it was stopped)

A row of results.csv is one body, rule and seed; rows that are there are not made again. Each rule's learning
rate is the best of three for the point mass, on a seed of its own, for a third of the steps (search.csv).
"""

import argparse
import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from brainalign.errors import DivergedError
from brainalign.networks import make_network
from brainalign.rules import find_rule
from brainalign.tasks.center_out import CenterOut
from brainalign.tasks.task import Batch
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer

HERE = Path(__file__).parent
BODIES, SEEDS, BATCH = ("arm", "point_mass"), range(3), 32
SEARCHED, SEARCHED_ON = 100, "point_mass"
N_POINTS, TEACHER = 12, "bptt"
"""Points of a learning curve; the rule whose network says what FORCE's muscles should do."""


@dataclass(frozen=True)
class Recipe:
    """How a rule is trained.

    Parameters
    ----------
    rule
        The rule's name, with options.
    steps
        Batches of 32 trials.
    passes
        Trials that are simulated for each trial of a batch.
    network
        What is trained.
    optimizer
        Without its rate.
    rates
        Rates that are tried; one is taken as it is.
    """

    rule: str
    steps: int
    passes: int = 1
    network: str = "rnn:units=64"
    optimizer: str = "adam"
    rates: tuple[float, ...] = (0.001, 0.003, 0.01)


RECIPES = {
    "untrained": Recipe("untrained", 0, rates=(0.003,)),
    "bptt": Recipe("bptt", 150, rates=(0.003,)),
    "bptt, 16 units": Recipe("bptt", 120, network="rnn:units=16", rates=(0.003,)),
    "rtrl, 16 units": Recipe("rtrl", 120, network="rnn:units=16"),
    "rflo": Recipe("rflo", 120),
    "e_prop, spiking": Recipe("e_prop", 120, network="alif:units=64"),
    "force": Recipe("force", 20, optimizer="sgd", rates=(1.0,)),
    "reward_modulated_hebb": Recipe("reward_modulated_hebb", 300, optimizer="sgd", rates=(0.3, 1.0, 3.0)),
    "node_perturbation": Recipe("node_perturbation", 90, passes=9),
    "reinforce": Recipe("reinforce", 90, passes=5),
    "evolution_strategies": Recipe("evolution_strategies", 30, passes=65),
}


@dataclass(frozen=True)
class ToldReach(CenterOut):
    """Reaching of which the outputs are known at each step: those of a network that can reach.

    Parameters
    ----------
    teacher
        The network.
    """

    teacher: nn.Module | None = None

    def desired(self, batch: Batch) -> Tensor:
        """Give the teacher's outputs, before they are brought into the bounds of the body's controls."""
        assert self.teacher is not None
        with torch.no_grad():
            _, rates = self.course(self.teacher, batch, keep_rates=True)
            return self.teacher.readout(torch.stack(rates, 1))  # pyright: ignore[reportCallIssue]


def main() -> None:
    """Train what is not in the tables yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("runs"), help="folder of the networks that teach FORCE"
    )
    parser.add_argument("--bodies", nargs="+", default=BODIES, choices=BODIES)
    parser.add_argument("--rules", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS:
        for name in given.rules:
            for body in given.bodies:
                if not _known("results.csv", body=body, rule=name, seed=seed):
                    train(name, body, seed, given.out)


def train(name: str, body: str, seed: int, out: Path) -> None:
    """Train one network to its end, and write its row, its learning curve and the courses of its hand."""
    recipe, rate = RECIPES[name], chosen_rate(name, out)
    which = {"body": body, "rule": name, "seed": seed}
    trainer, spent, note = make_trainer(name, body, seed, rate, out), 0.0, ""
    found, course = evaluated(trainer)
    curve = [which | {"step": 0, "trials": 0} | found]
    try:
        for point in range(1, N_POINTS + 1 if recipe.steps else 1):
            start = time.process_time()
            while trainer.step < round(recipe.steps * point / N_POINTS):
                trainer.advance()
            spent += time.process_time() - start
            found, course = evaluated(trainer)
            curve.append(which | {"step": trainer.step, "trials": BATCH * trainer.step} | found)
    except DivergedError as error:
        note, found = str(error).partition(".")[0], dict.fromkeys(found, np.nan)
    trials = BATCH * trainer.step
    row = which | {"network": recipe.network, "optimizer": recipe.optimizer, "lr": rate, "steps": trainer.step}
    row |= {"trials": trials, "simulated": trials * recipe.passes, "seconds": spent}
    if name == TEACHER:
        torch.save(trainer.network.state_dict(), _teacher(out, body, seed))
    if seed == SEEDS[0]:
        _add("hands.csv", [{"body": body, "rule": name} | point for point in _points(course)])
    _add("curves.csv", curve)
    _add("results.csv", [row | {"start_mm": curve[0]["median_mm"]} | found | {"note": note}])
    print(f"{name} {body} {seed}: {found['median_mm']:.1f} mm, {spent:.0f} s", flush=True)


def make_trainer(name: str, body: str, seed: int, rate: float, out: Path) -> Trainer:
    """Give a network and its rule, ready to learn."""
    recipe = RECIPES[name]
    rule = find_rule(recipe.rule)
    task = CenterOut(body=body, batch_size=BATCH)
    network = make_network(recipe.network, task.shape(rule.activation), seed)
    if recipe.rule == "force" and body == "arm":
        teacher = make_network(RECIPES[TEACHER].network, task.shape(rule.activation), seed)
        teacher.load_state_dict(torch.load(_teacher(out, body, seed), weights_only=True))
        task = ToldReach(body=body, batch_size=BATCH, teacher=teacher.eval().requires_grad_(False))
    return Trainer(network, task, rule, find_optimizer(recipe.optimizer).with_lr(rate), seed)


def _teacher(out: Path, body: str, seed: int) -> Path:
    return out / f"{TEACHER}_{body}_{seed}.pt"


def chosen_rate(name: str, out: Path) -> float:
    """Give the rate with which a point mass ends nearest after a third of the steps, on a seed of its own."""
    recipe = RECIPES[name]
    if len(recipe.rates) == 1:
        return recipe.rates[0]
    for rate in recipe.rates:
        if _known("search.csv", rule=name, lr=rate):
            continue
        trainer, error = make_trainer(name, SEARCHED_ON, SEARCHED, rate, out), np.nan
        with contextlib.suppress(DivergedError):
            while trainer.step < recipe.steps // 3:
                trainer.advance()
            error = evaluated(trainer)[0]["mean_mm"]
        _add(
            "search.csv",
            [{"body": SEARCHED_ON, "rule": name, "lr": rate, "steps": trainer.step, "mean_mm": error}],
        )
    table = pd.read_csv(HERE / "search.csv")
    table = table[table["rule"] == name].dropna()
    return float(table.loc[table["mean_mm"].idxmin(), "lr"])


@torch.no_grad()
def evaluated(trainer: Trainer) -> tuple[dict[str, float], Tensor]:
    """Give how far from the targets the hand ends, in mm, the cost, and the course of the trials."""
    network = trainer.rule.inference(trainer.network.eval(), trainer.state)
    batch = next(trainer.task.held_out())
    course = trainer.task.rollout(network, batch)
    errors = 1e3 * trainer.task.further(course, batch)["endpoint_error"].double().numpy()
    cost = float(trainer.task.cost(course, batch).mean())
    trainer.network.train()
    found = {"median_mm": np.median(errors), "mean_mm": errors.mean(), "worst_mm": errors.max(), "cost": cost}
    return found, course


def _points(course: Tensor) -> Iterator[dict]:
    """Give where the hand is each 50 ms, in mm."""
    for target, hand in enumerate(1e3 * course[..., :2].double().numpy()):
        for step in range(4, len(hand), 5):
            yield {"target": target, "step": step, "x": hand[step, 0], "y": hand[step, 1]}


def _known(file: str, **which: object) -> bool:
    """Say whether a table has a row."""
    if not (HERE / file).exists():
        return False
    table = pd.read_csv(HERE / file)
    return bool(np.logical_and.reduce([table[column] == value for column, value in which.items()]).any())


def _add(file: str, rows: list[dict]) -> None:
    """Append rows to a table."""
    path = HERE / file
    pd.DataFrame(rows).to_csv(path, mode="a", header=not path.exists(), index=False, float_format="%.5g")


if __name__ == "__main__":
    main()
