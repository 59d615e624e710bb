"""Backprop and feedback alignment on MNIST, 784-500-10, beside the curves of Akrout et al. (2019).

``python analyses/mnist_feedback/train.py --out runs`` (ten minutes of one core; can be killed and called again)

Sigmoid units, sigmoid cross-entropy, pixels from 0 to 1, plain SGD at a rate of 0.2, batches of 128, as in
their repository (github.com/makrout/Deep-Learning-without-Weight-Transport, folder fcnn). Ours differs in two
details: theirs divides the biases' gradient by the batch size once more, and draws one seed. The published
accuracies after ten epochs are those of their results.json.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd

import brainalign as ba

PUBLISHED = {"backprop": 0.9412, "feedback_alignment": 0.9086, "direct_feedback_alignment": float("nan")}
SEEDS = range(5)
EPOCHS, STEPS = 10, 468
NETWORK = "mlp:hidden=500,activation=sigmoid"
TASK = "classification:mnist,cost=sigmoid_cross_entropy,scale=unit"


def main() -> None:
    """Train all, and write a table of accuracy and of the hidden layer's angle by epoch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    out = parser.parse_args().out
    rows = []
    for rule in PUBLISHED:
        for seed in SEEDS:
            run = ba.train(
                NETWORK,
                TASK,
                rule,
                seed=seed,
                epochs=EPOCHS,
                optimizer="sgd",
                lr=0.2,
                checkpoints=[STEPS * epoch for epoch in range(EPOCHS + 1)],
                evaluate_on=0,
                out=out / f"{rule}_{seed}",
            )
            table = run.table.rename(columns={"angle.blocks.0.linear": "hidden_angle"})
            columns = ["epoch", "loss", "accuracy", "train_accuracy", "hidden_angle"]
            rows.append(table[columns].assign(rule=rule, seed=seed))
    table = pd.concat(rows)
    table.to_csv(Path(__file__).with_name("training.csv"), index=False, float_format="%.6g")
    last = table[table["epoch"] == EPOCHS].groupby("rule", sort=False)["accuracy"].agg(["mean", "std"])
    print(last.assign(published=pd.Series(PUBLISHED)).round(4).to_string())


if __name__ == "__main__":
    main()
