"""Rules that send errors back on MNIST, 784-500-10, beside the curves of Akrout et al. (2019).

``python analyses/mnist_feedback/train.py --out runs`` (half an hour; can be killed and called again)

Sigmoid units, sigmoid cross-entropy, pixels from 0 to 1, plain SGD at the rates of their repository
(github.com/makrout/Deep-Learning-without-Weight-Transport, folder fcnn), batches of 128. Ours differs in two
details: theirs divides the biases' gradient by the batch size once more, and draws one seed. The published
accuracies after ten epochs, and the angles after one and ten, are those of their results.json. Their angle is
of the errors of the hidden units, ours of the update of their weights.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd

import brainalign as ba

NAN = float("nan")


@dataclass(frozen=True)
class Setting:
    """A rule's learning rate, and what was published: accuracy after ten epochs, angles after one and ten."""

    lr: float
    accuracy: float = NAN
    angle_1: float = NAN
    angle_10: float = NAN


SETTINGS = {
    "backprop": Setting(0.2, 0.9412, 0, 0),
    "feedback_alignment": Setting(0.2, 0.9086, 42.1, 26.1),
    "direct_feedback_alignment": Setting(0.2),
    # The repository mirrors the outputs with their sigmoid, whose slope is 1/4; here that is in the cost.
    "weight_mirror:mirror_rate=0.05": Setting(0.05, 0.9049, 63.4, 16.9),
    "weight_mirror": Setting(0.05),
    # Without weight decay, as in the repository, where forward and feedback weights only grow alike.
    "kolen_pollack": Setting(0.3, 0.9541, 19.4, 12.2),
}
SEEDS = range(5)
EPOCHS, STEPS = 10, 468
NETWORK = "mlp:hidden=500,activation=sigmoid"
TASK = "classification:mnist,cost=sigmoid_cross_entropy,scale=unit"


def main() -> None:
    """Train all, and write a table of accuracy and of the hidden layer's angle by epoch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    out = parser.parse_args().out
    table = pd.concat(_trained(rule, seed, out) for rule in SETTINGS for seed in SEEDS)
    table.to_csv(Path(__file__).with_name("training.csv"), index=False, float_format="%.6g")
    print(_summary(table).round(4).to_string())


def _trained(rule: str, seed: int, out: Path) -> pd.DataFrame:
    run = ba.train(
        NETWORK,
        TASK,
        rule,
        seed=seed,
        epochs=EPOCHS,
        optimizer="sgd",
        lr=SETTINGS[rule].lr,
        checkpoints=[STEPS * epoch for epoch in range(EPOCHS + 1)],
        evaluate_on=0,
        out=out / f"{rule.replace(':', '_')}_{seed}",
    )
    table = run.table.rename(columns={"angle.blocks.0.linear": "hidden_angle"})
    columns = ["epoch", "loss", "accuracy", "train_accuracy", "hidden_angle"]
    return table[columns].assign(rule=rule, seed=seed)


def _summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give mean and SD over seeds beside what was published."""
    by_rule, epochs = pd.DataFrame(index=list(SETTINGS)), table.set_index("epoch")
    for name, column, epoch in (
        ("accuracy", "accuracy", EPOCHS),
        ("angle_1", "hidden_angle", 1),
        ("angle_10", "hidden_angle", EPOCHS),
    ):
        found = epochs.loc[[epoch]].groupby("rule")[column]
        by_rule[name], by_rule[f"{name}_sd"] = found.mean(), found.std()
        by_rule[f"{name}_published"] = [getattr(setting, name) for setting in SETTINGS.values()]
    return by_rule


if __name__ == "__main__":
    main()
