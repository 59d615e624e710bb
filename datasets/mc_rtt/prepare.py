"""Neural Latents Benchmark, MC_RTT: macaque M1 in self-paced reaches to random targets."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from brainalign.data.nwb import recording_from_nwb
from brainalign.data.nwb_dandi import fetch_dandi
from brainalign.data.nwb_session import read_session
from brainalign.data.recording import Recording

VERSION = ("000129", "0.241017.1444")
FILE = "sub-Indy/sub-Indy_desc-train_behavior+ecephys.nwb"


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording: the benchmark's stretches of 600 ms, each a condition of its own."""
    session = read_session(fetch_dandi(*VERSION, FILE), ["cursor_pos", "finger_vel"])
    return recording_from_nwb(
        replace(session, name=name),
        align_to="start_time",
        after=0.6,
        bin_width=0.02,
        kinematics="cursor_pos+finger_vel",
        outside="keep",
        region="M1",
        select={"split": ["train", "val"]},
    )
