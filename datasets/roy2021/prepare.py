"""Roy et al. (2021): a rat learns to compare two sounds, trial by trial."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from brainalign.data.recording import Recording
from brainalign.data.restricted_pickle import read_pickled


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording; the first column of each input is the trial's own, the second the trial before."""
    rat: dict = read_pickled(files["sampleRatData.npz"], "D")  # pyright: ignore[reportAssignmentType]
    days = rat["dayLength"].astype(int)
    behaviour = pd.DataFrame(
        {
            "subject": rat["name"],
            "session": np.repeat(np.arange(1, len(days) + 1), days),
            "trial": np.arange(1, days.sum() + 1),
            "sound_a": rat["inputs"]["s1"][:, 0],
            "sound_b": rat["inputs"]["s2"][:, 0],
            "choice": rat["y"].astype(int),
            "answer": rat["answer"].astype(int),
            "correct": rat["correct"],
        }
    )
    return Recording(name, behaviour=behaviour)
