"""Four rules on CIFAR-10, six seeds each, at nine checkpoints; the rate of each searched in one budget.

``python analyses/representational_paths/train.py --out runs`` (ten minutes of one core; it can be killed and
called again)
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd
import torch

import brainalign as ba
from brainalign.training import search_learning_rate

OPTIMIZERS = {
    "backprop": None,
    "kolen_pollack": "momentum:weight_decay=1e-3",
    "feedback_alignment": None,
    "local_pred": None,
}
"""Each rule's own by default."""
NETWORK, TASK = "convnet", "classification:cifar10"
STEPS = (0, 5, 10, 20, 40, 75, 150, 225, 300)
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
SEEDS = range(6)
HERE = Path(__file__).parent


def main() -> None:
    """Search and train all, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    searched, trained = [], []
    for rule, optimizer in OPTIMIZERS.items():
        search = search_learning_rate(
            NETWORK,
            TASK,
            rule,
            rates=RATES,
            optimizer=optimizer,
            seed=100,
            steps=STEPS[-1],
            out=out / "search" / rule,
            progress=False,
        )
        searched.append(search.table.assign(rule=rule, chosen=search.table["lr"] == search.best))
        for seed in SEEDS:
            run = ba.train(
                NETWORK,
                TASK,
                rule,
                seed=seed,
                steps=STEPS[-1],
                optimizer=optimizer,
                lr=search.best,
                checkpoints=STEPS,
                evaluate_on=1000,
                out=out / f"{rule}_{seed}",
                progress=False,
            )
            columns = ["step", "loss", "accuracy", "angle"]
            trained.append(run.table[columns].assign(rule=rule, seed=seed, lr=search.best))
    pd.concat(searched).to_csv(HERE / "search.csv", index=False, float_format="%.6g")
    pd.concat(trained).to_csv(HERE / "training.csv", index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
