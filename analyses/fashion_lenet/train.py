"""Feedback of the right signs on Fashion-MNIST, LeNet, beside the errors of BioTorch (Sanfiz & Akrout 2021).

``python analyses/fashion_lenet/train.py --out runs`` (an hour of one core; can be killed and called again)

Momentum 0.9, weight decay 1e-4 and batches of 128, as in their configuration; the rate, which they chose for
each rule, is searched here in one budget for all: seven rates, each as long as training, by the loss on 6000
training images that are set apart. Ours trains 5 epochs at one rate, theirs 250 at rates that fall by steps, so
errors are higher throughout and what can be compared is their order. Theirs are of one run each, chosen by test
images.
"""

import argparse
import os
from itertools import combinations
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from scipy.stats import t, ttest_rel

import brainalign as ba
from brainalign.compare.differences import holm
from brainalign.training import search_learning_rate

PUBLISHED = {
    "backprop": 8.88,
    "sign_symmetry_uniform": 9.22,
    "sign_symmetry_batch_random": 9.31,
    "sign_symmetry_fixed_random": 9.27,
    "feedback_alignment": 12.77,
    "direct_feedback_alignment": 12.76,
}
"""Error in per cent, from the README of github.com/jsalbert/biotorch."""
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
SEEDS, EPOCHS, BATCHES = range(5), 5, 468
NETWORK, TASK, OPTIMIZER = "lenet", "classification:fashion_mnist", "momentum:weight_decay=1e-4"
HERE = Path(__file__).parent


def main() -> None:
    """Search and train all, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    out = parser.parse_args().out
    searched, trained = [], []
    for rule in PUBLISHED:
        search = search_learning_rate(
            NETWORK,
            TASK,
            rule,
            rates=RATES,
            optimizer=OPTIMIZER,
            seed=100,
            epochs=EPOCHS,
            out=out / "search" / rule,
        )
        table = search.table.assign(rule=rule, chosen=search.table["lr"] == search.best)
        searched.append(table.assign(note=table["note"].where(~table["chosen"], search.note)))
        trained += [_trained(rule, search.best, seed, out) for seed in SEEDS]
    table = pd.concat(trained)
    pd.concat(searched).to_csv(HERE / "search.csv", index=False, float_format="%.6g")
    table.to_csv(HERE / "training.csv", index=False, float_format="%.6g")
    print(_summary(table).to_string())


def _trained(rule: str, lr: float, seed: int, out: Path) -> pd.DataFrame:
    run = ba.train(
        NETWORK,
        TASK,
        rule,
        seed=seed,
        epochs=EPOCHS,
        optimizer=OPTIMIZER,
        lr=lr,
        checkpoints=[BATCHES * epoch for epoch in range(EPOCHS + 1)],
        evaluate_on=0,
        out=out / f"{rule}_{seed}",
    )
    return run.table[["epoch", "loss", "accuracy", "train_accuracy"]].assign(rule=rule, lr=lr, seed=seed)


def _summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give each rule's error with its 95 % interval over seeds, and the rules that it is not told apart from.

    Told apart are rules whose errors differ in a t-test paired by seed, p < .05 by Holm's correction for all
    pairs.
    """
    last = table[table["epoch"] == EPOCHS]
    error = 100 * (1 - last.pivot(index="seed", columns="rule", values="accuracy")[list(PUBLISHED)])
    half = error.sem() * t.ppf(0.975, len(SEEDS) - 1)
    pairs = list(combinations(PUBLISHED, 2))
    p = np.array([ttest_rel(error[one], error[other]).pvalue for one, other in pairs])
    ties: dict[str, list[str]] = {rule: [] for rule in PUBLISHED}
    for (one, other), apart in zip(pairs, holm(p) < 0.05, strict=True):
        if not apart:
            ties[one].append(other)
            ties[other].append(one)
    found = pd.DataFrame({"error": error.mean(), "half_width": half, "published": pd.Series(PUBLISHED)})
    rates = last.groupby("rule")["lr"].first()
    return found.round(2).assign(lr=rates, ties=pd.Series(ties).str.join(", "))


if __name__ == "__main__":
    main()
