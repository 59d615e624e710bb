"""Neural Latents Benchmark, MC_Maze: macaque M1 and PMd in delayed reaches through mazes, one part a day."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from brainalign.data.nwb import recording_from_nwb
from brainalign.data.nwb_dandi import fetch_dandi
from brainalign.data.nwb_session import read_session
from brainalign.data.recording import Recording

VERSIONS = {
    "full": ("000128", "0.220113.0400"),
    "large": ("000138", "0.220113.0407"),
    "medium": ("000139", "0.220113.0408"),
    "small": ("000140", "0.220113.0408"),
}
FILE = "sub-Jenkins/sub-Jenkins_ses-{part}_desc-train_behavior+ecephys.nwb"


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording: single trials about movement onset, in the benchmark's own window."""
    path = fetch_dandi(*VERSIONS[part], FILE.format(part=part))
    session = read_session(path, ["hand_pos", "hand_vel"])
    targets = zip(session.trials["target_pos"], session.trials["active_target"], strict=True)
    x, y = np.array([np.reshape(places, (-1, 2))[reached] for places, reached in targets], dtype=float).T
    trials = session.trials.assign(angle=np.degrees(np.arctan2(y, x)) % 360)
    return recording_from_nwb(
        replace(session, name=name, trials=trials),
        align_to="move_onset_time",
        before=0.25,
        after=0.45,
        bin_width=0.02,
        condition="trial_type+trial_version",
        angle="angle",
        kinematics="hand_pos+hand_vel",
        outside="keep",
        select={"split": ["train", "val"]},
    )
