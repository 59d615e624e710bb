"""Rules by differences of activity, by dendrites and after Hebb, on MNIST and on CIFAR-10, in one budget.

``python analyses/activity_and_hebb/train.py mnist --out runs`` and ``… cifar10 --out runs`` (can be killed and
called again: rules that the tables beside this file hold are not run anew)

Each rule tries four learning rates, from a tenth to three times its own, for a quarter of the steps of
training, on training images of which a tenth is set apart; the one with the lowest loss there is taken for
three seeds, or the next one where a seed diverges. Of rules whose outputs learn nothing a linear read-out is
fitted to what enters the last layer; that of the random start stands beside it.
"""

import argparse
import os
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from scipy.stats import t

import brainalign as ba
from brainalign.rules import find_rule
from brainalign.training import DivergedError, search_learning_rate
from brainalign.training.optimizers import find_optimizer

FACTORS = (0.1, 0.32, 1.0, 3.2)
"""Learning rates that are tried, over the rule's own."""
SEEDS = range(3)
CHECKPOINTS = 8
EVALUATE_ON = 2000
"""Images that a checkpoint is measured on."""
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Setting:
    """What a rule learns a set of images with.

    Parameters
    ----------
    network
        Which network.
    steps
        How many batches.
    batch_size
        Images of a batch; 128 unless given.
    rule
        The rule, unless the row is named after it.
    search_on
        Images that a rate of the search is judged on, if not as many as `brainalign.train` takes by itself.
    """

    network: str
    steps: int
    batch_size: int | None = None
    rule: str = ""
    search_on: int | None = None


MNIST = Setting("mlp:hidden=256", steps=938)
CIFAR10 = Setting("convnet", steps=780)
SMALL = Setting("convnet:channels=16-32-64", steps=780)
SETTINGS = {
    "mnist": dict.fromkeys(
        (
            "backprop",
            "feedback_alignment",
            "equilibrium_propagation",
            "predictive_coding",
            "prospective_configuration",
            "contrastive_hebbian",
            "generec",
            "xcal",
            "almeida_pineda",
            "boltzmann",
            "stdp",
            "stdp_pairs",
            "segregated_dendrites",
            "dendritic_microcircuit",
            "burstprop",
            "koerding_koenig",
            "neuromodulated",
            "hebb",
            "oja",
            "sanger",
            "similarity_matching",
            "krotov_hopfield",
            "softhebb",
            "boltzmann_restricted",
            "wake_sleep",
            "variational_em",
        ),
        MNIST,
    ),
    "cifar10": {
        "backprop": CIFAR10,
        "predictive_coding": CIFAR10,
        "backprop, small": replace(SMALL, rule="backprop"),
        "equilibrium_propagation:variant=symmetric": SMALL,
        "equilibrium_propagation:variant=one_sided": SMALL,
        # As published, each image once, but for the width: that of the paper is 96-384-1536.
        "softhebb": Setting(
            "softhebb_net:channels=48-192-768", steps=5000, batch_size=10, search_on=EVALUATE_ON
        ),
    },
}


def main() -> None:
    """Search, train and write the tables of one set of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", choices=SETTINGS)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--rules", nargs="*", help="these alone")
    options = parser.parse_args()
    files = {kind: HERE / f"{kind}.{options.images}.csv" for kind in ("search", "training")}
    held = {kind: pd.read_csv(file) if file.exists() else pd.DataFrame() for kind, file in files.items()}
    order = list(SETTINGS[options.images])
    for name in options.rules or order:
        if len(held["training"]) and name in set(held["training"]["rule"]):
            continue
        found = dict(zip(files, of_row(name, options.images, options.out / options.images), strict=True))
        for kind, file in files.items():
            held[kind] = pd.concat([held[kind], found[kind]]).sort_values(
                "rule", key=lambda rules: rules.map(order.index), kind="stable", ignore_index=True
            )
            held[kind].to_csv(file, index=False, float_format="%.6g")
    summary = summed_up(held["training"])
    summary.to_csv(HERE / f"summary.{options.images}.csv", index_label="rule", float_format="%.4g")
    print(summary.to_string())


def of_row(name: str, images: str, out: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Search the rate of a row's rule and train its seeds."""
    setting = SETTINGS[images][name]
    rule = setting.rule or name
    task = f"classification:{images}" + (f",batch_size={setting.batch_size}" if setting.batch_size else "")
    given = setting.network, task, rule
    own = find_optimizer(find_rule(rule).optimizer).lr
    search = search_learning_rate(
        *given,
        rates=[float(f"{own * factor:.3g}") for factor in FACTORS],
        seed=100,
        steps=setting.steps // 4,
        evaluate_on=setting.search_on,
        out=out / "search" / name,
        progress=False,
    )
    ranked = search.table.dropna(subset="loss").sort_values("loss")["lr"]
    for lr in ranked:
        try:
            runs = [
                ba.train(
                    *given,
                    seed=seed,
                    steps=setting.steps,
                    lr=lr,
                    checkpoints=CHECKPOINTS,
                    evaluate_on=EVALUATE_ON,
                    out=out / f"{name}_{lr:g}_{seed}",
                    progress=False,
                )
                for seed in SEEDS
            ]
        except DivergedError as error:
            print(images, name, lr, error, flush=True)
            continue
        break
    else:
        raise DivergedError(f"{name}: a seed diverges at every rate that the search left.")
    found = search.table.assign(rule=name, chosen=search.table["lr"] == lr)
    tables = [
        run.table.assign(rule=name, network=setting.network, seed=seed, lr=lr)
        for seed, run in zip(SEEDS, runs, strict=True)
    ]
    columns = ["rule", "network", "seed", "lr", "step", "loss", "accuracy", "readout_accuracy"]
    return found, pd.concat(tables).reindex(columns=columns)


def summed_up(table: pd.DataFrame) -> pd.DataFrame:
    """Give error in per cent after training, with half the 95 % t-interval over seeds, and the read-outs'."""
    rows = {}
    for rule, of in table.groupby("rule", sort=False):
        last = of[of["step"] == of["step"].max()].set_index("seed")
        first = of[of["step"] == 0].set_index("seed")
        row = {"lr": last["lr"].iloc[0]}
        gain = last["readout_accuracy"] - first["readout_accuracy"]
        shown = {
            "error": 1 - last["accuracy"],
            "readout_error": 1 - last["readout_accuracy"],
            "random_readout_error": 1 - first["readout_accuracy"],
            "readout_gain": gain,
        }
        for name, values in shown.items():
            row[name] = 100 * values.mean()
            row[f"{name}_half"] = 100 * values.sem() * t.ppf(0.975, len(values) - 1)
        rows[rule] = row
    return pd.DataFrame(rows).T.replace(np.nan, None)


if __name__ == "__main__":
    main()
