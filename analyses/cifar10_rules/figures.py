"""The committed tables and figures of this experiment, from the folder that ``brainalign run`` left.

``python analyses/cifar10_rules/figures.py cifar10_rules``
"""

import shutil
import sys
from pathlib import Path

import pandas as pd

import brainalign as ba
from brainalign.trajectory.score_changes import score_changes

HERE = Path(__file__).parent
DEEPEST = "blocks.3"


def main() -> None:
    """Copy the tables, draw the committed layer and the deepest, and say what changed."""
    folder = Path(sys.argv[1])
    for name in ("scores.csv", "training.csv", "search.csv"):
        shutil.copy(folder / name, HERE / name)
    scores = ba.load_scores(folder / "scores.nc")
    ba.figures.learning_curves(scores, path=HERE / "committed.pdf")
    ba.figures.learning_curves(scores, path=HERE / "deepest.pdf", layer=DEEPEST)
    print(score_changes(scores).round(3).to_string())
    training = pd.read_csv(HERE / "training.csv")
    last = training[training["step"] == training["step"].max()]
    columns = ["loss", "accuracy", "train_accuracy", "angle"]
    print(last.groupby("rule")[columns].agg(["mean", "std"]).round(3).to_string())


if __name__ == "__main__":
    main()
