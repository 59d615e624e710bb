"""Hennig et al. (2018): macaque M1 under two decoders of a brain-computer interface, one part a block."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import loadmat

from brainalign.data.kinematics import make_kinematics
from brainalign.data.recording import Recording
from brainalign.data.responses import make_responses
from brainalign.data.stimuli import StimulusSet

UPWARD = np.array([1.0, -1.0])
"""The file's velocities have y downward, its angles do not: with the sign turned, the two agree."""


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording of one block: counts by bin and unit, without those of a frozen cursor."""
    content = loadmat(files["20131218.mat"], simplify_cells=True)["D"]
    block = content["blocks"][int(part.removeprefix("block")) - 1]
    frozen = block["isFreezePeriod"].astype(bool)
    # A trial begins where the cursor freezes: the file has no other mark of it.
    trial = np.cumsum(frozen & ~np.concatenate([[False], frozen[:-1]]))
    directions = [f"{int(angle):03d}" for angle in block["thetaActualGrps"][~frozen]]
    responses = make_responses(
        block["spikes"][~frozen].astype(float), directions, region="M1", subject="L", dims=("trial", "unit")
    ).assign_coords(
        target_direction=("trial", block["thetas"][~frozen] % 360), trial_index=("trial", trial[~frozen])
    )
    responses.attrs["factors"] = block["latents"][~frozen]
    responses.attrs["decoder"] = block["nDecoder"]
    responses.attrs["factor_decoder"] = block["fDecoder"]
    responses.attrs["factor_analysis"] = content["dec"]
    velocities = np.hstack([block["vel"][~frozen] * UPWARD, block["velNext"][~frozen] * UPWARD])
    names = ("x_velocity", "y_velocity", "x_velocity_next", "y_velocity_next")
    kinematics = make_kinematics(velocities, directions, dict.fromkeys(names, "mm/s"))
    index = pd.Index(sorted(set(directions)), name="stimulus", dtype=object)
    stimuli = StimulusSet(name, pd.DataFrame({"angle": [float(each) for each in index]}, index=index))
    return Recording(name, stimuli, {"M1": responses}, kinematics=kinematics)
