"""Perceptual learning of orientation at three precisions under four rules, after Wenliang & Seitz (2018).

``python analyses/perceptual_learning/measure.py --out runs`` (ten minutes of one core; can be gone on with)

A small convnet learns CIFAR-10 by backprop for 400 steps, under each of five seeds. From there it learns to say
to which side of 45 degrees a Gabor in noise is turned: by 12 degrees, by 5 or by 2. All rules have one
optimiser, one rate and one number of steps. Tables: weights (`changes.csv`), accuracy in training
(`training.csv`) and on other tasks with the same read-out (`transfer.csv`), and, before and after, information
in each layer (`information.csv`) and tuning of units (`tuning.csv`).
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd

import brainalign as ba
from brainalign.files import written_whole
from brainalign.tasks import ImageSet, find_task, load_images
from brainalign.tasks.orientation import Orientation
from brainalign.training import Checkpoint
from brainalign.trajectory.orientation_tuning import tuning_curves, tuning_statistics
from brainalign.trajectory.perceptual import discriminability, transfer
from brainalign.trajectory.weight_changes import weight_changes

HERE = Path(__file__).parent
NETWORK, OPTIMIZER, LR, STEPS = "convnet:channels=16-32-64-128", "momentum", 0.01, 300
CHECKPOINTS = [0, 3, 6, 12, 25, 50, 75, 100, 150, 200, 250, 300]
PRECISIONS, TRAINED, ORTHOGONAL, SHIFTED = (12.0, 2.0, 5.0), 45.0, 135.0, 0.3
SEEDS, RULES = range(5), ("backprop", "feedback_alignment", "kolen_pollack", "local_pred")
BEFORE = "before"
BLOCKS = "blocks.?"
STATISTICS = ("slope", "relative_slope", "bandwidth", "fano")
# Of units, by how far what they preferred before is from the trained orientation, in degrees.
DISTANCES = (0, 15, 30, 60, 90)

Tables = dict[str, list[pd.DataFrame]]


def main() -> None:
    """Train and measure all, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    out = parser.parse_args().out
    images = load_images("cifar10")
    tables: Tables = {}
    for seed in SEEDS:
        run = pretrained(images, seed, out)
        _add(tables, seen_in_layers(images, run), rule=BEFORE, seed=seed)
    for precision in PRECISIONS:
        for rule in RULES:
            for seed in SEEDS:
                run = learned(images, rule, precision, seed, out)
                found = measured(images, run, precision) | seen_in_layers(images, run)
                _add(tables, found, rule=rule, seed=seed, train_precision=precision)
    tables["tuning"] = [_by_distance(pd.concat(tables.pop("units"), ignore_index=True))]
    for name, parts in tables.items():
        pd.concat(parts).to_csv(HERE / f"{name}.csv", index=False, float_format="%.6g")


def orientation_task(images: ImageSet, **options: float) -> Orientation:
    """Give the task at the difficulty of this analysis."""
    task = find_task("orientation:noise=0.2,frequency=5,batch_size=64", images=images, **options)
    assert isinstance(task, Orientation)
    return task


def pretrained(images: ImageSet, seed: int, out: Path) -> ba.Run:
    """Learn CIFAR-10 by backprop."""
    return ba.train(
        NETWORK,
        find_task("classification:cifar10", images=images),
        seed=seed,
        steps=400,
        checkpoints=2,
        evaluate_on=2000,
        out=out / f"cifar10_{seed}",
    )


def learned(images: ImageSet, rule: str, precision: float, seed: int, out: Path) -> ba.Run:
    """Learn orientation from there."""
    return ba.train(
        NETWORK,
        orientation_task(images, precision=precision),
        rule,
        seed=seed,
        initial=out / f"cifar10_{seed}",
        steps=STEPS,
        optimizer=OPTIMIZER,
        lr=LR,
        checkpoints=CHECKPOINTS,
        evaluate_on=1000,
        out=out / f"{rule}_{precision:g}_{seed}",
    )


def measured(images: ImageSet, run: ba.Run, precision: float) -> dict[str, pd.DataFrame]:
    """Give what is measured of a run as a whole."""
    tests = [
        *(orientation_task(images, precision=tested) for tested in PRECISIONS),
        orientation_task(images, precision=precision, x=SHIFTED, y=SHIFTED),
    ]
    return {
        "training": run.table[["step", "loss", "accuracy", "angle"]],
        "changes": _kept(run, "changes", lambda: weight_changes(run)).drop(columns=["network", "task"]),
        "transfer": _kept(run, "transfer", lambda: transfer(run.checkpoints("last")[0], tests, images)),
    }


def seen_in_layers(images: ImageSet, run: ba.Run) -> dict[str, pd.DataFrame]:
    """Give what is measured of the blocks at the end of a run."""
    last = run.checkpoints("last")[0]
    return {
        "information": _kept(run, "information", lambda: _information(images, last)),
        "units": _kept(
            run,
            "units",
            lambda: tuning_statistics(
                tuning_curves(last.load(), orientation_task(images), BLOCKS, repeats=50), TRAINED
            ),
        ),
    }


def _information(images: ImageSet, checkpoint: Checkpoint) -> pd.DataFrame:
    network = checkpoint.load()
    parts = []
    for orientation in (TRAINED, ORTHOGONAL):
        for precision in PRECISIONS:
            test = orientation_task(images, orientation=orientation, precision=precision)
            found = discriminability(network, test, BLOCKS, trials=400)
            parts.append(found.assign(test_orientation=orientation, test_precision=precision))
    return pd.concat(parts)


def _kept(run: ba.Run, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """Give a table from the run's folder, or make it and keep it there."""
    path = run.path / "measured" / f"{name}.csv"
    if not path.exists():
        with written_whole(path) as temporary:
            make().to_csv(temporary, index=False)
    return pd.read_csv(path)


def _add(tables: Tables, found: dict[str, pd.DataFrame], **facts: object) -> None:
    for name, table in found.items():
        tables.setdefault(name, []).append(table.assign(**facts))


def _by_distance(units: pd.DataFrame) -> pd.DataFrame:
    """Give means over units of each layer, and of each distance that they had before learning."""
    before = units.loc[units["rule"] == BEFORE, ["seed", "layer", "number", "distance"]]
    units = units.drop(columns="distance").merge(before, on=["seed", "layer", "number"])
    units["distance"] = pd.cut(units["distance"], list(DISTANCES), include_lowest=True).astype(str)
    keys = ["rule", "train_precision", "seed", "layer", "distance"]
    grouped = units.groupby(keys, dropna=False, sort=False)
    return grouped[list(STATISTICS)].mean().assign(n=grouped.size()).reset_index()


if __name__ == "__main__":
    main()
