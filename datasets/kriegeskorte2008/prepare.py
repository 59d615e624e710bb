"""Kriegeskorte et al. (2008): dissimilarities of 92 images in monkey IT, human IT and human judgement."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import loadmat

from brainalign.data.recording import Recording
from brainalign.data.responses import make_rdms
from brainalign.data.stimuli import StimulusSet


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording; the three regions share one stimulus set."""
    published = _load(files["Kriegeskorte_Neuron2008_supplementalData.mat"])
    visits = _load(files["92_brainRDMs.mat"])["RDMs"].ravel()
    judges = _load(files["92_behavRDMs.mat"])["rdms_behav_92"]
    stimuli = _stimuli(published["stimuli_92objs"], name)
    pooled = {rdm.name: rdm.RDM for rdm in published["RDMs_mIT_hIT_fig1"]}
    rdms = {
        "monkey_IT": make_rdms(pooled["mIT_674neurons"][None], stimuli.ids, ["pooled"]),
        # Names are "hIT | BE | Session: 1": the subject's initials, once for each of its two visits.
        "human_IT": make_rdms(_stack(visits), stimuli.ids, [rdm.name.split(" | ")[1] for rdm in visits]),
        "behaviour": make_rdms(
            _stack(judges), stimuli.ids, [rdm.name.removeprefix("simJudge | ") for rdm in judges]
        ),
    }
    return Recording(name, stimuli, rdms=rdms)


def _load(path: Path) -> dict[str, np.ndarray]:
    return loadmat(path, squeeze_me=True, struct_as_record=False)


def _stack(rdms: np.ndarray) -> np.ndarray:
    return np.array([rdm.RDM for rdm in rdms], dtype=float)


def _stimuli(objects: np.ndarray, name: str) -> StimulusSet:
    ids = [f"image_{i + 1:02d}" for i in range(len(objects))]
    metadata = pd.DataFrame(
        {
            "category": [shown.category for shown in objects],
            "animate": [bool(shown.animal) for shown in objects],
            "human": [bool(shown.human) for shown in objects],
            "face": [bool(shown.face) for shown in objects],
            "natural": [bool(shown.natural) for shown in objects],
        },
        index=pd.Index(ids, name="stimulus", dtype=object),
    )
    images = {i: shown.image for i, shown in zip(ids, objects, strict=True)}
    return StimulusSet(name, metadata, images)
