"""Hatsopoulos, Joshi & O'Leary (2004): one firing rate a unit and trial, in reaches to eight directions."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from scipy.io import loadmat

from brainalign.data.recording import Recording
from brainalign.data.responses import make_responses
from brainalign.data.stimuli import StimulusSet

STEP = 45
"""Degrees between directions; direction 1 is rightward, 3 upward, by the repository's readme."""


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording: a rate by trial and unit; the file has (unit, trial)."""
    content = loadmat(files["Dataset1.mat"])
    angles = STEP * (content["direction"].ravel().astype(int) - 1)
    responses = make_responses(
        content["R"].T,
        [f"{angle:03d}" for angle in angles],
        region="M1/PMd",
        subject="not stated",
        dims=("trial", "unit"),
    )
    directions = range(0, 360, STEP)
    index = pd.Index([f"{angle:03d}" for angle in directions], name="stimulus", dtype=object)
    metadata = pd.DataFrame({"angle": [float(angle) for angle in directions]}, index=index)
    return Recording(name, StimulusSet(name, metadata), {"M1/PMd": responses})
