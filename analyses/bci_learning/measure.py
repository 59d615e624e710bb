"""What learning of a brain-computer interface changed in the motor cortex of two monkeys' sessions.

``python analyses/bci_learning/measure.py`` (seconds; recordings golub2018 and hennig2021)
"""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import brainalign as ba
from brainalign.figures.style import COLOURS, STYLE
from brainalign.trajectory.bci_learning import (
    against_halves,
    decoded_share,
    repertoire_change,
    subspace_overlap,
    tuning_change,
)
from brainalign.trajectory.neural_engagement import engagement

HERE = Path(__file__).parent
DECODERS = ("intuitive", "perturbed")
DRAWS, BLOCK, FREEZE = 200, 50, 6
"""Random halves; trials of a block of the curve; steps that the cursor does not move, left out."""


def main() -> None:
    """Write the tables and the figure."""
    units, measures = golub()
    units.to_csv(HERE / "tuning.csv", index=False, float_format="%.4g")
    measures.to_csv(HERE / "before_after.csv", index=False, float_format="%.4g")
    print(measures.to_string(index=False))
    blocks, contrasts = hennig()
    blocks.to_csv(HERE / "trials.csv", index=False, float_format="%.4g")
    contrasts.to_csv(HERE / "engagement.csv", index=False, float_format="%.4g")
    print(contrasts.to_string(index=False))
    draw(units, measures, blocks, HERE / "learning.png")


def golub() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure golub2018 before and after learning, beside halves of the time steps before it."""
    before, after = (ba.load_recording(f"golub2018/{part}")["M1"] for part in ("before", "after"))
    counts = before.values, after.values
    factors = before.attrs["factors"], after.attrs["factors"]
    directions = before["target_direction"].values, after["target_direction"].values
    movements = before["stimulus"].values.astype(str), after["stimulus"].values.astype(str)
    rng = np.random.default_rng(0)

    def turned(one: np.ndarray, two: np.ndarray) -> float:
        """Give the mean turn of units that are tuned."""
        table = tuning_change(counts[0][one], counts[0][two], directions[0][one], directions[0][two])
        return float(table["turned"].abs()[tuned].mean())

    units = tuning_change(*counts, *directions)
    tuned = (units["depth_before"] > units["depth_before"].median()).to_numpy()
    units["tuned"] = tuned
    change = repertoire_change(*factors, *movements, rng)
    halved = [
        repertoire_change(factors[0][one], factors[0][two], movements[0][one], movements[0][two], rng)
        for one, two in _halves(len(factors[0]), rng)
    ]
    n = len(counts[0])
    rows = [
        _row(
            "turn of preferred directions (degrees)",
            units["turned"].abs()[tuned].mean(),
            against_halves(turned, n, DRAWS, rng),
        ),
        _row(
            "subspace overlap, counts, 10 dimensions",
            subspace_overlap(*counts),
            against_halves(lambda a, b: subspace_overlap(counts[0][a], counts[0][b]), n, DRAWS, rng),
        ),
        _row(
            "subspace overlap, factors, 3 dimensions",
            subspace_overlap(*factors, 3),
            against_halves(lambda a, b: subspace_overlap(factors[0][a], factors[0][b], 3), n, DRAWS, rng),
        ),
        _row("repertoire change", change.repertoire, np.array([each.repertoire for each in halved])),
        _row("shift within movements", change.clouds, np.array([each.clouds for each in halved])),
    ]
    for decoder in DECODERS:
        weight = before.attrs["decoders"][decoder]["M2"]
        for name, one in zip(("before", "after"), counts, strict=True):
            rows.append(
                _row(f"variance of counts that moves the {decoder} cursor, {name}", decoded_share(one, weight))
            )
        for name, one in (("before", before), ("after", after)):
            rows.append(
                _row(
                    f"progress, {decoder} decoder, {name} (mm a step)", float(one[f"progress_{decoder}"].mean())
                )
            )
    return units, pd.DataFrame(rows)


def _halves(n: int, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    orders = [rng.permutation(n) for _ in range(DRAWS)]
    return [(order[::2], order[1::2]) for order in orders]


def _row(measure: str, value: float, null: np.ndarray | None = None) -> dict:
    low, high = (np.nan, np.nan) if null is None else np.percentile(null, [2.5, 97.5])
    return {"measure": measure, "value": value, "halves_low": low, "halves_high": high}


def hennig() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure progress and engagement of hennig2021 over trials."""
    recording = ba.load_recording("hennig2021/20120528")
    factors, moved = recording["M1"], recording.kinematics
    assert moved is not None
    late = slice(FREEZE, None)
    blocks = factors["block"].values.astype(str)
    in_use = np.where(
        blocks == "intuitive",
        *(
            moved.sel(kinematic=f"progress_{decoder}").isel(time=late).mean("time").values
            for decoder in DECODERS
        ),
    )
    mean = factors.isel(time=late).mean("time").values
    kept = np.isfinite(mean).all(1)
    engaged = np.full(len(mean), np.nan)
    engaged[kept] = engagement(
        mean[kept],
        factors["stimulus"].values[kept],
        blocks[kept] == "intuitive",
        factors.attrs["factor_analysis"]["L"],
    )
    trials = pd.DataFrame(
        {"trial": factors["trial_index"].values, "block": blocks, "progress": in_use, "engagement": engaged}
    )
    within = trials.groupby("block", sort=False).cumcount()
    table = trials.assign(part=within // BLOCK).groupby(["block", "part"], sort=False)
    averaged = table.agg(
        first_trial=("trial", "min"),
        n=("trial", "size"),
        progress=("progress", "mean"),
        engagement=("engagement", "mean"),
        progress_error=("progress", "sem"),
        engagement_error=("engagement", "sem"),
    )
    return averaged.reset_index(), _contrasts(trials)


def _contrasts(trials: pd.DataFrame) -> pd.DataFrame:
    """Compare the blocks' beginnings and ends, by the difference of means with a bootstrap interval."""
    parts = {block: trials[trials["block"] == block] for block in DECODERS}
    pairs = {
        "first 50 perturbed − last 50 intuitive": (parts["perturbed"][:BLOCK], parts["intuitive"][-BLOCK:]),
        "last 50 perturbed − first 50 perturbed": (parts["perturbed"][-BLOCK:], parts["perturbed"][:BLOCK]),
    }
    rng, rows = np.random.default_rng(0), []
    for contrast, (one, two) in pairs.items():
        for measure in ("progress", "engagement"):
            a, b = (each[measure].dropna().to_numpy() for each in (one, two))
            drawn = [rng.choice(a, len(a)).mean() - rng.choice(b, len(b)).mean() for _ in range(2000)]
            low, high = np.percentile(drawn, [2.5, 97.5])
            rows.append(
                {
                    "measure": measure,
                    "contrast": contrast,
                    "difference": a.mean() - b.mean(),
                    "low": low,
                    "high": high,
                }
            )
    return pd.DataFrame(rows)


def draw(units: pd.DataFrame, measures: pd.DataFrame, blocks: pd.DataFrame, path: Path) -> None:
    """Draw turns of preferred directions, the repertoire beside its null, and both curves over trials."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 4, figsize=(7.1, 2.1), layout="constrained")
        for tuned, colour, label in ((True, COLOURS[0], "deeper half"), (False, "#AAAAAA", "other units")):
            axes[0].plot(
                *units.loc[units["tuned"] == tuned, ["preferred_before", "preferred_after"]].to_numpy().T,
                ".",
                ms=3,
                color=colour,
                label=label,
            )
        axes[0].plot([0, 360], [0, 360], color="#595959", lw=0.6)
        axes[0].set(xlabel="preferred direction before (°)", ylabel="after learning (°)")
        axes[0].set(xticks=range(0, 361, 90), yticks=range(0, 361, 90), title="golub2018: 86 units")
        axes[0].legend(frameon=False, loc="upper left", handletextpad=0)
        shown = measures[measures["measure"].isin(["repertoire change", "shift within movements"])]
        for place, row in enumerate(shown.itertuples()):
            axes[1].fill_between(
                [place - 0.3, place + 0.3], row.halves_low, row.halves_high, color="#E3E3E3", lw=0
            )
            axes[1].plot(place, row.value, "o", ms=4, color=COLOURS[1])
        axes[1].set_xticks([0, 1], ["new\npatterns", "shift within\nmovements"])
        axes[1].set(
            ylabel="change (grey: halves of before)",
            title="golub2018: repertoire",
            xlim=(-0.6, 1.6),
        )
        for panel, measure, label in (
            (axes[2], "progress", "progress, decoder in use (mm/s)"),
            (axes[3], "engagement", "engagement (s.d. of intuitive)"),
        ):
            for block, colour in zip(DECODERS, COLOURS, strict=False):
                of = blocks[blocks["block"] == block]
                panel.errorbar(
                    of["first_trial"] + of["n"] / 2,
                    of[measure],
                    of[f"{measure}_error"],
                    fmt="o-",
                    ms=2,
                    lw=0.8,
                    color=colour,
                    label=block,
                )
            panel.set(xlabel="trial", ylabel=label, title="hennig2021: monkey J")
        axes[2].legend(frameon=False)
        for panel in axes:
            panel.title.set_size(7)
        figure.savefig(path, dpi=200)
        plt.close(figure)


if __name__ == "__main__":
    main()
