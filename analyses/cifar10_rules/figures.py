"""The committed tables and figures of this experiment, from the folder that ``brainalign run`` left.

``python analyses/cifar10_rules/figures.py cifar10_rules``
"""

import shutil
import sys
from pathlib import Path

import pandas as pd
import scipy.stats

import brainalign as ba

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
    print(changes(scores.to_dataframe()).to_string())
    training = pd.read_csv(HERE / "training.csv")
    last = training[training["step"] == training["step"].max()]
    columns = ["loss", "accuracy", "train_accuracy", "angle"]
    print(last.groupby("rule")[columns].agg(["mean", "std"]).round(3).to_string())


def changes(table: pd.DataFrame) -> pd.DataFrame:
    """Give raw scores before and after training, as means over seeds, and the paired change's 95 % interval."""
    of_layers = table[table["layer"].str.startswith("blocks") | (table["layer"] == "committed")]
    of_runs = of_layers[of_layers["checkpoint"] >= 0]
    ends = of_runs["checkpoint"].min(), of_runs["checkpoint"].max()
    keys = ["recording", "region", "layer", "rule", "seed"]
    wide = of_runs[of_runs["checkpoint"].isin(ends)].pivot_table(index=keys, columns="checkpoint", values="raw")
    wide.columns = ["before", "after"]
    wide["change"] = wide["after"] - wide["before"]
    grouped = wide.groupby(keys[:-1])
    summary = grouped.mean()
    n = grouped["change"].count()
    summary["half_width"] = scipy.stats.t.ppf(0.975, n - 1) * grouped["change"].std() / n**0.5
    return summary.round(3)


if __name__ == "__main__":
    main()
