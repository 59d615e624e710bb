"""Churchland et al. (2012): averages of macaque motor cortex, as Elsayed & Cunningham made them."""

from collections.abc import Mapping
from pathlib import Path

from scipy.io import loadmat

from brainalign.data.recording import Recording
from brainalign.data.responses import make_responses
from brainalign.data.stimuli import StimulusSet


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording: an average by condition, unit and time; the file has (time, unit, condition)."""
    content = loadmat(files["exampleData.mat"])
    values = content["dataTensor"].transpose(2, 1, 0)
    conditions = [f"condition{number:02d}" for number in range(1, len(values) + 1)]
    responses = make_responses(
        values,
        conditions,
        region="M1/PMd",
        subject="not stated",
        dims=("stimulus", "unit", "time"),
        time=content["t"].ravel() / 1000,
    ).assign_attrs(align_to="movement onset")
    return Recording(name, StimulusSet.from_ids(conditions, name=name), {"M1/PMd": responses})
