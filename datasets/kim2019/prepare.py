"""Kim, Parvin & Ivry (2019): reaches that adapt to a clamped cursor while the target changes its size."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import loadmat

from brainalign.data.recording import Recording

GROUPS = {"s2b": "small_to_big", "b2s": "big_to_small"}
PHASES = {
    "baseline_without_feedback": 5,
    "baseline": 5,
    "clamp_first_target": 120,
    "clamp_second_target": 80,
    "washout": 10,
}
"""Cycles of each phase, in order, by the authors' script."""


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording: a row a person and cycle of eight reaches."""
    content = loadmat(files["tgtSwitch_data.mat"])
    phases = np.repeat(list(PHASES), list(PHASES.values()))
    people = [
        pd.DataFrame(
            {
                "subject": f"{key}_{number:02d}",
                "group": group,
                "cycle": np.arange(1, len(angles) + 1),
                "phase": phases,
                "hand_angle": angles,
            }
        )
        for key, group in GROUPS.items()
        for number, angles in enumerate(content[f"handAngle_{key}"], start=1)
    ]
    return Recording(name, behaviour=pd.concat(people, ignore_index=True))
