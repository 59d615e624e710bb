"""Majaj, Hong et al. (2015): mean responses of macaque IT sites to rendered objects."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from brainalign.data.recording import Recording
from brainalign.data.responses import make_responses
from brainalign.data.stimuli import StimulusSet

COLUMNS = {
    "obj": "object",
    "category": "category",
    "var": "variation",
    "rxy": "rxy",
    "rxz": "rxz",
    "ryz": "ryz",
    "ty": "ty",
    "tz": "tz",
    "s": "s",
    "bg_id": "background",
}


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording; row i of the responses answers row i of the table."""
    values = np.load(files["IT.npy"], allow_pickle=False)
    table = pd.read_csv(files["meta_hvm.csv"])
    metadata = pd.DataFrame({ours: table[theirs] for theirs, ours in COLUMNS.items()})
    metadata.index = pd.Index(table["id"], name="stimulus", dtype=object)
    stimuli = StimulusSet(name, metadata, degrees=8.0)
    responses = make_responses(values, stimuli.ids, region="IT", subject="pooled")
    return Recording(name, stimuli, {"IT": responses})
