"""Stages in the learning curves of animals and people, and how well such curves can be matched at all.

``python analyses/animal_learning/measure.py`` (two minutes)

Subjects stand where a network's seeds do: the number of stages is that of the mean curve, times and intervals
are those of the subjects' own curves. Writes ``stages.csv`` and ``ceilings.csv`` beside itself, and a figure.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import brainalign as ba
from brainalign.trajectory import count_back, half_ceilings, learning_curves

HERE = Path(__file__).parent


def curves() -> Iterator[tuple[str, xr.DataArray]]:
    """Give each curve (subject, step), by name."""
    trials = ba.load_recording("visser_hmmr/discrimination")
    yield "discrimination, who has left counts as right", learning_curves(trials, after_last=1.0)
    back = learning_curves(count_back(trials), step="from_last_error")
    before = back.sel(step=slice(-30, -1)).mean("subject", keepdims=True)
    yield "discrimination, before the last error", before
    yield (
        "weather prediction (WPT), blocks of 8",
        learning_curves(ba.load_recording("visser_hmmr/WPT"), block=8),
    )
    rat = ba.load_recording("roy2021")
    yield "rat W053, blocks of 500 trials", learning_curves(rat, block=500)
    adaptation = learning_curves(ba.load_recording("kim2019"), "hand_angle", step="cycle")
    for group in np.unique(adaptation["group"]):
        yield f"reach adaptation, {group}", adaptation[adaptation["group"].values == group]
    yield "perceptual learning, blocks of 10", learning_curves(ba.load_recording("cochrane2019"), block=10)
    ages = learning_curves(ba.load_recording("visser_hmmr/balance8"), step="age", item="item", block=1.0)
    for item in ages["item"].values:
        yield f"balance scale by age, {item}", ages.sel(item=item).mean("subject", keepdims=True)


def main() -> None:
    """Find stages, halve the subjects, and write it all down."""
    rows, ceilings = [], []
    for name, curve in curves():
        found = ba.find_stages(curve.values, curve["step"].values)
        rows.append(ba.stage_table(found).assign(curve=name, n_subjects=len(curve)))
        print(f"{name}: {found.attrs['verdict']}; {found.attrs['reason']}")
        if len(curve) >= 4:
            halves = half_ceilings(curve, 200, np.random.default_rng(0))
            ceilings.append({"curve": name, "ceiling": halves.ceiling, "rms_floor": halves.rms_floor})
    table = pd.concat(rows, ignore_index=True)
    table.to_csv(HERE / "stages.csv", index=False, float_format="%.6g")
    pd.DataFrame(ceilings).to_csv(HERE / "ceilings.csv", index=False, float_format="%.6g")
    ba.figures.stage_chart(table.drop(columns="n_subjects"), HERE / "stages.png")


if __name__ == "__main__":
    main()
