"""Yu et al. (2009): single-trial spikes of macaque motor cortex, as DataHigh distributes them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from brainalign.data.recording import Recording
from brainalign.data.responses import make_responses
from brainalign.data.stimuli import StimulusSet

FILES = {"delay": "ex1_spikecounts.mat", "reach": "ex2_rawspiketrains.mat"}
BIN = 20
"""Milliseconds of a bin; the files count spikes in 1 ms."""
START = {"delay": 0.1, "reach": 0.0}
ALIGN_TO = {"delay": "target onset", "reach": "beginning of the trial in the file"}
"""What times count from; the first sample is as many seconds after it as START says."""


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording: spike counts by trial, unit and bin, over the whole bins of the shortest trial."""
    trials = loadmat(files[FILES[part]], simplify_cells=True)["D"]
    milliseconds = np.array([trial["data"].shape[1] for trial in trials])
    n_bins = milliseconds.min() // BIN
    spikes = np.stack([trial["data"][:, : n_bins * BIN] for trial in trials]).astype(float)
    responses = make_responses(
        spikes.reshape(*spikes.shape[:2], n_bins, BIN).sum(axis=3),
        [trial["condition"] for trial in trials],
        region="M1/PMd",
        subject="G",
        dims=("trial", "unit", "time"),
        time=START[part] + (np.arange(n_bins) + 0.5) * BIN / 1000,
    )
    responses = responses.assign_coords(duration=("trial", milliseconds / 1000))
    responses = responses.assign_attrs(align_to=ALIGN_TO[part])
    conditions = sorted(set(responses["stimulus"].values))
    return Recording(name, StimulusSet.from_ids(conditions, name=name), {"M1/PMd": responses})
