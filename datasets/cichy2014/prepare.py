"""Cichy et al. (2014, 2016): fMRI dissimilarities of 92 images in human EVC and IT, one matrix a subject."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from brainalign.data.recording import Recording
from brainalign.data.responses import make_rdms
from brainalign.data.stimuli import ImageFile, StimulusSet

# The images' order is that of Kriegeskorte et al. (2008), whose categories come in runs.
CATEGORIES = {
    "human bodypart": 12,
    "human face": 12,
    "nonhuman bodypart": 12,
    "nonhuman face": 12,
    "natural inanimate": 23,
    "artificial inanimate": 21,
}


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording of both regions."""
    categories = np.repeat(list(CATEGORIES), list(CATEGORIES.values()))
    ids = [f"image_{i + 1:02d}" for i in range(len(categories))]
    metadata = pd.DataFrame({"category": categories}, index=pd.Index(ids, name="stimulus", dtype=object))
    images = {i: ImageFile(files[f"images/{i}.jpg"]) for i in ids}
    rdms = {}
    for region in ("EVC", "IT"):
        with np.load(files[f"fmri_{region}_RDMs.npz"], allow_pickle=False) as archive:
            matrices = archive["Net_RDM"]
        rdms[region] = make_rdms(matrices, ids, [f"subject{i + 1:02d}" for i in range(len(matrices))])
    return Recording(name, StimulusSet(name, metadata, images), rdms=rdms)
