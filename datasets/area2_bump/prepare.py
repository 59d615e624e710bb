"""Neural Latents Benchmark, Area2_Bump: macaque somatosensory area 2 in reaches and in bumps of the arm."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from brainalign.data.nwb import recording_from_nwb
from brainalign.data.nwb_dandi import fetch_dandi
from brainalign.data.nwb_session import read_session
from brainalign.data.recording import Recording

VERSION = ("000127", "0.220113.0359")
FILE = "sub-Han/sub-Han_desc-train_behavior+ecephys.nwb"


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording: single trials about movement onset, in the benchmark's own window."""
    session = read_session(fetch_dandi(*VERSION, FILE), ["hand_pos", "hand_vel"])
    return recording_from_nwb(
        replace(session, name=name),
        align_to="move_onset_time",
        before=0.1,
        after=0.5,
        bin_width=0.02,
        condition="cond_dir+ctr_hold_bump",
        angle="cond_dir",
        kinematics="hand_pos+hand_vel",
        outside="keep",
        region="area2",
        select={"split": ["train", "val"]},
    )
