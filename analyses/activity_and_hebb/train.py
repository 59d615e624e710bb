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
from dataclasses import dataclass
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
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Setting:
    """What a set of images is learned with.

    Parameters
    ----------
    network
        Which network, unless a rule names its own.
    steps
        Batches of 128.
    rules
        Each rule, with the network that it needs where it is another one.
    """

    network: str
    steps: int
    rules: dict[str, str]


SETTINGS = {
    "mnist": Setting(
        "mlp:hidden=256",
        938,
        dict.fromkeys(
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
            "",
        ),
    ),
    "cifar10": Setting(
        "convnet",
        780,
        {
            "backprop": "",
            "equilibrium_propagation": "",
            "predictive_coding": "",
            "softhebb": "softhebb_net",
        },
    ),
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
    order = list(SETTINGS[options.images].rules)
    for rule in options.rules or order:
        if len(held["training"]) and rule in set(held["training"]["rule"]):
            continue
        found = dict(zip(files, of_rule(rule, options.images, options.out / options.images), strict=True))
        for kind, file in files.items():
            held[kind] = pd.concat([held[kind], found[kind]]).sort_values(
                "rule", key=lambda rules: rules.map(order.index), kind="stable", ignore_index=True
            )
            held[kind].to_csv(file, index=False, float_format="%.6g")
    summary = summed_up(held["training"])
    summary.to_csv(HERE / f"summary.{options.images}.csv", index_label="rule", float_format="%.4g")
    print(summary.to_string())


def of_rule(rule: str, images: str, out: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Search a rule's rate and train its seeds."""
    setting, task = SETTINGS[images], f"classification:{images}"
    network = setting.rules[rule] or setting.network
    own = find_optimizer(find_rule(rule).optimizer).lr
    search = search_learning_rate(
        network,
        task,
        rule,
        rates=[float(f"{own * factor:.3g}") for factor in FACTORS],
        seed=100,
        steps=setting.steps // 4,
        out=out / "search" / rule,
        progress=False,
    )
    ranked = search.table.dropna(subset="loss").sort_values("loss")["lr"]
    for lr in ranked:
        try:
            tables = [seed_of_rule(rule, images, network, lr, seed, out) for seed in SEEDS]
        except DivergedError as error:
            print(images, rule, lr, error, flush=True)
            continue
        break
    found = search.table.assign(rule=rule, chosen=search.table["lr"] == lr)
    columns = ["rule", "network", "seed", "lr", "step", "loss", "accuracy", "readout_accuracy"]
    return found, pd.concat(tables).reindex(columns=columns)


def seed_of_rule(rule: str, images: str, network: str, lr: float, seed: int, out: Path) -> pd.DataFrame:
    """Train one seed at a rate."""
    run = ba.train(
        network,
        f"classification:{images}",
        rule,
        seed=seed,
        steps=SETTINGS[images].steps,
        lr=lr,
        checkpoints=CHECKPOINTS,
        evaluate_on=2000,
        out=out / f"{rule}_{lr:g}_{seed}",
        progress=False,
    )
    return run.table.assign(rule=rule, network=network, seed=seed, lr=lr)


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
