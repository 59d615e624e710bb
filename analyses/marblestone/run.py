"""Marblestone, Wayne & Kording's (2016) four tests of whether a circuit optimises a cost, on seven rules.

``python analyses/marblestone/run.py --out runs`` (a quarter of an hour; can be killed and called again)

Handwritten digits of 8 × 8 pixels, two hidden layers of 64 units, batches of 64, each rule with the optimiser
of its own at the rate that analyses/rule_scaling found, five seeds. Each test is made with the true cost and
with what must fail: categories renamed, or targets permuted over the images, which then say nothing of them.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd
import xarray as xr

import brainalign as ba
from brainalign.files import written_whole
from brainalign.tasks import Task
from brainalign.trajectory.gradient_motion import ALL, moves_along_gradient
from brainalign.trajectory.imposed_cost import imposes_cost
from brainalign.trajectory.optimum import at_optimum
from brainalign.trajectory.push_return import returns_after_push
from brainalign.trajectory.resumed import own_task
from brainalign.trajectory.retargeted import next_category, permuted_targets

RATES = {
    "backprop": 0.1,
    "feedback_alignment": 0.032,
    "node_perturbation": 0.0032,
    "pepita": 0.1,
    "difference_target_propagation": 0.00062,
    "local_pred": 0.005,
    "untrained": 0.1,
}
NETWORK, TASK, STEPS, SEEDS = "mlp:hidden=64-64", "classification:digits,batch_size=64", 1000, range(5)
CHECKPOINTS = (0, 10, 100, 300, 1000)
AFTER = {"steps": 100, "records": 2}


def main() -> None:
    """Train and test all, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    out = parser.parse_args().out
    table = pd.concat(of_run(rule, seed, out) for rule in RATES for seed in SEEDS)
    table.to_csv(Path(__file__).with_name("tests.csv"), index=False, float_format="%.6g")
    print(summary(table).to_string())


def of_run(rule: str, seed: int, out: Path) -> pd.DataFrame:
    """Train a network and test it, unless that was done before."""
    kept = out / rule / f"{seed}.csv"
    if not kept.exists():
        options = {
            "steps": STEPS,
            "checkpoints": CHECKPOINTS,
            "lr": RATES[rule],
            "seed": seed,
            "progress": False,
        }
        run = ba.train(NETWORK, TASK, rule, out=out / rule / f"{seed}", **options)
        found = pd.DataFrame([{"rule": rule, "seed": seed, **row} for row in tested(run)])
        with written_whole(kept) as temporary:
            found.to_csv(temporary, index=False)
    return pd.read_csv(kept).fillna({"kind": ""})


def tested(run: ba.Run) -> list[dict]:
    """Give every test of a run, each as a row of its verdict and its numbers."""
    return [row for test in (optima, motions, returns, impositions) for row in test(run, own_task(run))]


def optima(run: ba.Run, own: Task) -> Iterator[dict]:
    """Make T1 of three costs."""
    numbers = ("cost", "signal_to_noise", "p_noise", "gradient_of_initial", "gradient_of_random", "rise")
    for guess, cost in (("true", own), ("permuted", permuted_targets(own)), ("renamed", next_category(own))):
        found = at_optimum(run, cost, which="last", random_states=19, directions=10)
        yield _row(found, guess) | {name: float(found[name][-1]) for name in numbers}


def motions(run: ba.Run, own: Task) -> Iterator[dict]:
    """Make T2 of two costs, between checkpoints and of single updates; means over checkpoints."""
    numbers = ("cosine", "cosine_apart", "z_isotropic", "z_permuted")
    for guess, cost in (("true", own), ("permuted", permuted_targets(own))):
        for motion in ("checkpoints", "updates"):
            found = moves_along_gradient(run, cost, motion=motion, permutations=200, samples=300)
            whole = found.sel(layer=ALL).mean("checkpoint")
            row = _row(found, guess, motion) | {name: float(whole[name]) for name in numbers}
            yield row | {"p": found.attrs["p"]}


def returns(run: ba.Run, own: Task) -> Iterator[dict]:
    """Make T3 by two pushes, and say the same of learning another cost; means over pushes."""
    for push in ("weights", "readout"):
        found = returns_after_push(run, push, **AFTER)
        last = found.isel(step=-1).mean("push")
        shares = [str(name) for name in last if str(name).startswith("recovered")]
        for arm, passes in (("own", found.attrs["passes"]), ("other", found.attrs["control_passes"])):
            numbers = {name: float(last[name].sel(arm=arm)) for name in shares}
            yield _row(found, arm, push) | {"passes": passes} | numbers


def impositions(run: ba.Run, own: Task) -> Iterator[dict]:
    """Make T4 of two costs."""
    for guess, cost in (("renamed", next_category(own)), ("permuted", permuted_targets(own))):
        found = imposes_cost(run, cost, **AFTER)
        numbers = {name: found.attrs[name] for name in ("fall", "advantage", "obedience")}
        last = found.isel(step=-1).sel(arm="imposed")
        yield _row(found, guess) | numbers | {name: float(last[name]) for name in ("follows", "own_follows")}


def _row(found: xr.Dataset, guess: str, kind: str = "") -> dict:
    return {
        "test": found.attrs["test"],
        "kind": kind,
        "guess": guess,
        "passes": found.attrs["passes"],
        "verdict": found.attrs["verdict"],
    }


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give in how many seeds each rule passes."""
    rows = table.pivot_table("passes", ["test", "kind", "guess"], "rule", "sum", sort=False)
    return rows[list(RATES)]


if __name__ == "__main__":
    main()
