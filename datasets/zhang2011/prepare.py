"""Zhang et al. (2011): spike counts of macaque IT units to seven objects at three positions."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import loadmat

from brainalign.data.recording import Recording
from brainalign.data.responses import make_responses
from brainalign.data.stimuli import StimulusSet

WINDOW = slice(100, 400)
"""Milliseconds after stimulus onset over which spikes are counted."""


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording: counts by condition, unit and repeat, NaN where a unit has fewer repeats."""
    units = {path.removesuffix("_raster_data.mat"): _counts(files[path]) for path in sorted(files)}
    conditions = sorted({condition for counts in units.values() for condition in counts})
    n_repeats = max(len(counts) for unit in units.values() for counts in unit.values())
    values = np.full((len(conditions), len(units), n_repeats), np.nan)
    for u, unit in enumerate(units.values()):
        for s, condition in enumerate(conditions):
            values[s, u, : len(unit[condition])] = unit[condition]
    responses = make_responses(
        values, conditions, region="IT", subject="bp", dims=("stimulus", "unit", "repeat")
    ).assign_coords(
        unit=np.array(list(units), dtype=object),
        session=("unit", np.array([unit.split("spk_")[0] for unit in units], dtype=object)),
    )
    return Recording(name, _stimuli(conditions, name), {"IT": responses})


def _counts(raster_file: Path) -> dict[str, list[float]]:
    """Count one unit's spikes in the window, trial by trial in the order of recording, by condition."""
    content = loadmat(raster_file, simplify_cells=True)
    onset = content["raster_site_info"]["alignment_event_time"] - 1
    counts = content["raster_data"][:, onset + WINDOW.start : onset + WINDOW.stop].sum(axis=1)
    by_condition = defaultdict(list)
    for condition, count in zip(content["raster_labels"]["combined_ID_position"], counts, strict=True):
        by_condition[condition].append(float(count))
    return by_condition


def _stimuli(conditions: list[str], name: str) -> StimulusSet:
    parts = [condition.split("_") for condition in conditions]
    metadata = pd.DataFrame(
        {"object": [shown for shown, _ in parts], "position": [position for _, position in parts]},
        index=pd.Index(conditions, name="stimulus", dtype=object),
    )
    return StimulusSet(name, metadata)
