"""Cowley et al. (2023): spike counts of macaque V4, one part a recording day."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from brainalign.data.recording import Recording
from brainalign.data.responses import make_responses
from brainalign.data.stimuli import ImageFile, StimulusSet

SUBJECTS = {
    "190923": "WE",
    "190925": "WE",
    "190927": "WE",
    "190928": "WE",
    "190929": "WE",
    "201025": "PE",
    "210224": "PE",
    "210225": "PE",
    "210305": "PE",
    "210322": "PE",
    "210325": "PE",
    "210621": "RA",
}


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording of one day: single repeats where they are published, else their mean."""
    raw = files.get(f"responses_raw/responses_{part}.npy")
    if raw is not None:
        counts = np.load(raw, allow_pickle=False).transpose(1, 0, 2)
        dims = ("stimulus", "unit", "repeat")
    else:
        averaged = files[f"responses_repeat_averaged/responses_{part}.npy"]
        counts = np.load(averaged, allow_pickle=False).T
        dims = ("stimulus", "unit")
    stimuli = _stimuli(files[f"images/images_{part}.zip"], part, len(counts), name)
    responses = make_responses(counts, stimuli.ids, region="V4", subject=SUBJECTS[part], dims=dims)
    return Recording(name, stimuli, {"V4": responses})


def _stimuli(archive: Path, day: str, n_images: int, name: str) -> StimulusSet:
    members = [f"image{i + 1:04d}.jpg" for i in range(n_images)]
    ids = [f"{day}/{Path(member).stem}" for member in members]
    first: dict[bytes, str] = {}
    with zipfile.ZipFile(archive) as opened:
        image = [first.setdefault(opened.read(member), i) for member, i in zip(members, ids, strict=True)]
    # A few images were shown under two numbers: those rows carry the same `image`.
    metadata = pd.DataFrame({"day": day, "image": image}, index=pd.Index(ids, name="stimulus", dtype=object))
    sources = {i: ImageFile(archive, member) for i, member in zip(ids, members, strict=True)}
    return StimulusSet(name, metadata, sources)
