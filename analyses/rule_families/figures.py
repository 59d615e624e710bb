"""The committed tables and figure of this experiment, from the folder that ``brainalign run`` left.

``python analyses/rule_families/figures.py rule_families``
"""

import shutil
import sys
from pathlib import Path

import pandas as pd

import brainalign as ba
from brainalign.trajectory.score_changes import score_changes

HERE = Path(__file__).parent


def main() -> None:
    """Copy the tables, draw the committed layer, and say what changed."""
    folder = Path(sys.argv[1])
    for name in ("scores.csv", "training.csv", "search.csv"):
        shutil.copy(folder / name, HERE / name)
    scores = ba.load_scores(folder / "scores.nc")
    ba.figures.learning_curves(scores, path=HERE / "committed.pdf")
    print(score_changes(scores).droplevel(["network", "task"]).round(3).to_string())
    training, search = (pd.read_csv(HERE / f"{name}.csv") for name in ("training", "search"))
    last = training[training["step"] == training["step"].max()]
    print(last.groupby("rule")[["loss", "accuracy", "angle"]].agg(["mean", "std"]).round(3).to_string())
    print(search[search["chosen"]].to_string())


if __name__ == "__main__":
    main()
