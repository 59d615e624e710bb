"""Table and figures of the networks that reach, beside the motor cortex of monkeys.

``python analyses/motor_cortex/figures.py FOLDER`` (FOLDER: what ``brainalign run`` left of experiment.toml;
after ``decode.py``)

Writes beside this file: the tables of scores, training and search, ``summary.csv`` (mean over seeds with its
95 % t-interval, and the difference from the same network untrained, paired by seed), ``planes.png`` and
``scores.png``.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from decode import STEPS, trained
from matplotlib.axes import Axes
from scipy.stats import t

import brainalign as ba
from brainalign.compare.conditions import Courses, courses_of, event_of
from brainalign.figures import jpc_planes
from brainalign.figures.style import COLOURS, FAINT, in_style
from brainalign.metrics.jpca import JpcaKernel

HERE = Path(__file__).parent
RULES = ("untrained", "reward_modulated_hebb", "force", "rflo", "e_prop:symmetric=True", "bptt")
SHORT = ("untrained", "reward-\nmod. Hebb", "FORCE", "RFLO", "e-prop", "BPTT")
N_SURROGATES = 1000
COLUMNS = 5


def main() -> None:
    """Copy the tables, sum them up and draw."""
    folder = Path(sys.argv[1])
    for name in ("scores", "training", "search"):
        shutil.copy(folder / f"{name}.csv", HERE / f"{name}.csv")
    values = pd.concat([of_scores(pd.read_csv(HERE / "scores.csv")), of_decoding()], ignore_index=True)
    summary = summed_up(values)
    summary.to_csv(HERE / "summary.csv", index=False, float_format="%.4g")
    print(summary.to_string(index=False))
    draw_scores(values, HERE / "scores.png")
    jpc_planes(dict(planes(folder)), HERE / "planes.png")


def of_scores(table: pd.DataFrame) -> pd.DataFrame:
    """Give values of trained networks and of the recordings themselves, with chance and ceiling."""
    table = table[table["layer"] != "committed"].rename(columns={"metric": "measure", "raw": "value"})
    kept = (table["network"] == "recording") | (table["checkpoint"] == STEPS)
    columns = [
        *("recording", "measure", "network", "rule", "seed", "value", "low", "high"),
        *("chance", "p_value", "ceiling"),
    ]
    return table.loc[kept, columns].drop_duplicates()


def of_decoding() -> pd.DataFrame:
    """Give what was decoded, with the control as chance."""
    table = pd.read_csv(HERE / "decoding.csv").rename(columns={"shuffled": "chance"})
    return table[(table["network"] == "recording") | (table["checkpoint"] == STEPS)]


def summed_up(values: pd.DataFrame) -> pd.DataFrame:
    """Sum up each rule's seeds under each measure."""
    rows = []
    for (recording, measure), table in values.groupby(["recording", "measure"], sort=False):
        own = table[table["network"] == "recording"]
        rules = table[table["network"] != "recording"].set_index("seed")
        untrained = rules.loc[rules["rule"] == "untrained", "value"]
        for rule in RULES:
            of_rule = rules[rules["rule"] == rule]
            mean, half = mean_and_half(of_rule["value"])
            difference, half_difference = mean_and_half(of_rule["value"] - untrained)
            rows.append(
                {
                    "recording": recording,
                    "measure": measure,
                    "rule": rule,
                    "seeds": int(of_rule["value"].notna().sum()),
                    "mean": mean,
                    "low": mean - half,
                    "high": mean + half,
                    "chance": of_rule["chance"].mean(),
                    "seeds_p_below_05": int((of_rule["p_value"] < 0.05).sum()) if "p_value" in of_rule else 0,
                    "over_untrained": difference,
                    "over_untrained_low": difference - half_difference,
                    "over_untrained_high": difference + half_difference,
                    "ceiling": of_rule["ceiling"].mean(),
                    "recording_itself": own["value"].mean(),
                    "recording_chance": own["chance"].mean(),
                    "recording_p": own["p_value"].mean(),
                }
            )
    return pd.DataFrame(rows)


def mean_and_half(values: pd.Series) -> tuple[float, float]:
    """Give the mean over seeds, and half of its 95 % t-interval."""
    n = int(values.notna().sum())
    return float(values.mean()), float(values.sem() * t.ppf(0.975, n - 1)) if n > 1 else float("nan")


def draw_scores(values: pd.DataFrame, path: Path) -> None:
    """Draw each measure: seeds by rule, their mean and interval, chance, ceiling or the recording itself."""
    panels = list(values.groupby(["recording", "measure"], sort=False))
    n_rows = -(-len(panels) // COLUMNS)
    with in_style():
        figure, axes = plt.subplots(n_rows, COLUMNS, figsize=(9.4, 1.75 * n_rows), layout="constrained")
        for panel, ((recording, measure), table) in zip(axes.flat, panels, strict=False):
            draw_panel(panel, table)
            if measure == "tangling":
                panel.set_yscale("log")
            panel.set_title(f"{recording}\n{measure.replace('_', ' ')}", fontsize=6.5)
        for panel in axes.flat[len(panels) :]:
            panel.axis("off")
        for panel in axes.flat[max(0, len(panels) - COLUMNS) : len(panels)]:
            panel.set_xticks(range(len(RULES)), SHORT, rotation=60, ha="right", rotation_mode="anchor")
        handles, labels = axes.flat[0].get_legend_handles_labels()
        more = [each for panel in axes.flat for each in zip(*panel.get_legend_handles_labels(), strict=True)]
        known = {label: handle for handle, label in [*zip(handles, labels, strict=True), *more]}
        figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=5, frameon=False)
        figure.savefig(path, dpi=200)
        plt.close(figure)


def draw_panel(panel: Axes, table: pd.DataFrame) -> None:
    """Draw one measure."""
    own = table[table["network"] == "recording"]
    networks = table[table["network"] != "recording"]
    for place, rule in enumerate(RULES):
        of_rule = networks[networks["rule"] == rule]
        mean, half = mean_and_half(of_rule["value"])
        panel.plot(
            np.full(len(of_rule), place - 0.18), of_rule["value"], ".", ms=2.5, color=FAINT, label="seeds"
        )
        panel.errorbar(
            place, mean, half, fmt="o", ms=3, lw=0.9, color=COLOURS[0], label="mean, 95 % over seeds"
        )
        panel.hlines(
            of_rule["chance"].mean(), place - 0.35, place + 0.35, color=COLOURS[1], lw=0.9, label="chance"
        )
    if len(own):
        panel.axhline(own["value"].mean(), color=COLOURS[2], lw=0.9, label="recording itself")
        panel.axhline(own["chance"].mean(), color=COLOURS[2], lw=0.7, ls=":", label="its chance")
    if networks["ceiling"].notna().any():
        panel.axhline(
            networks["ceiling"].mean(), color="black", lw=0.8, ls="--", label="ceiling (halves of trials)"
        )
    panel.set_xticks(range(len(RULES)), [""] * len(RULES))
    panel.set_xlim(-0.6, len(RULES) - 0.4)


def planes(folder: Path) -> Iterator[tuple[str, xr.DataArray]]:
    """Give the fastest jPC plane of the monkey, and of each rule's network of seed 0."""
    recording = ba.load_recording("churchland2012")
    ((region, responses),) = recording.responses.items()
    brain = courses_of(responses, region)
    yield "monkey (churchland2012)", plane(brain, event_of(recording))
    runs = trained(folder)
    for rule, label in zip(RULES, SHORT, strict=True):
        (network,) = runs[rule, 0].checkpoints([STEPS])
        units = network.answers(recording.stimuli, event_of(recording))["units"]
        of_model = courses_of(units, "units").at(brain)
        yield label.replace("-\nm", "-m"), plane(of_model, event_of(recording))


def plane(courses: Courses, event: str) -> xr.DataArray:
    """Project trajectories on their fastest plane, with what `jpc_planes` writes above it."""
    kernel, rng = JpcaKernel(), np.random.default_rng(0)
    found = kernel.planes(courses.values, courses.times)[0]
    ratio = kernel.value(courses.values, courses.times)
    null = kernel.null(courses.values, courses.times, N_SURROGATES, rng)
    return xr.DataArray(
        found.projections,
        dims=("stimulus", "time", "axis"),
        coords={"time": courses.times},
        attrs={
            "frequency": found.frequency,
            "share": found.share,
            "ratio": ratio,
            "n_units": courses.values.shape[2],
            "event": event,
            "simulated": 0,
            "p": (1 + np.sum(null >= ratio)) / (1 + N_SURROGATES),
        },
    )


if __name__ == "__main__":
    main()
