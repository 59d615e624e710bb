"""Bachschmid-Romano et al. (2023): electromyograms of thirteen arm muscles in reaches to eight directions."""

from collections.abc import Mapping
from pathlib import Path

from scipy.io import loadmat

from brainalign.data.recording import Recording
from brainalign.data.responses import make_responses
from brainalign.data.stimuli import StimulusSet


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording, by direction, muscle and sample; the file has (muscle, sample, direction)."""
    values = loadmat(files["EMG.mat"])["all_EMG"].transpose(2, 0, 1)
    directions = [f"direction{number}" for number in range(1, len(values) + 1)]
    responses = make_responses(
        values, directions, region="EMG", subject="not stated", dims=("stimulus", "unit", "time")
    )
    return Recording(name, StimulusSet.from_ids(directions, name=name), {"EMG": responses})
