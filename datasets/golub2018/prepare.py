"""Golub et al. (2018): macaque M1 before and after learning of a brain-computer interface, one part each."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import loadmat

from brainalign.data.kinematics import make_kinematics
from brainalign.data.recording import Recording
from brainalign.data.responses import make_responses
from brainalign.data.stimuli import StimulusSet

DECODERS = ("intuitive", "perturbed")
VELOCITIES = {f"{axis}_velocity_{decoder}": "mm/s" for decoder in DECODERS for axis in "xy"}


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording of one part: counts by time step and unit, steps grouped by direction."""
    content = loadmat(files["exampleData.mat"], simplify_cells=True)
    clouds = content[f"{part}Learning"]["clouds"]
    directions = [f"{angle:03d}" for angle in clouds["angles"]]
    steps = [
        direction
        for direction, counts in zip(directions, clouds["spikes"], strict=True)
        for _ in range(counts.shape[1])
    ]
    to_target = _rows(clouds["cursorToTargetDirection"])
    responses = make_responses(_rows(clouds["spikes"]), steps, region="M1", subject="J", dims=("trial", "unit"))
    responses["target_direction"] = ("trial", np.degrees(np.arctan2(to_target[:, 1], to_target[:, 0])) % 360)
    for decoder in DECODERS:
        responses[f"progress_{decoder}"] = ("trial", _rows(clouds[f"{decoder}Progress"])[:, 0])
    responses.attrs["factors"] = _rows(clouds["factorActivity"])
    responses.attrs["decoders"] = {decoder: content["expParams"][f"{decoder}Mapping"] for decoder in DECODERS}
    velocities = np.hstack([_rows(clouds[f"vraw_{decoder}"]) for decoder in DECODERS])
    index = pd.Index(directions, name="stimulus", dtype=object)
    stimuli = StimulusSet(name, pd.DataFrame({"angle": clouds["angles"].astype(float)}, index=index))
    kinematics = make_kinematics(velocities, steps, VELOCITIES)
    return Recording(name, stimuli, {"M1": responses}, kinematics=kinematics)


def _rows(by_direction: list[np.ndarray]) -> np.ndarray:
    """Stack a list of (variable, time step), one a direction, to (time step, variable)."""
    return np.concatenate([np.atleast_2d(each).T for each in by_direction]).astype(float)
