"""Hennig et al. (2021): factors of macaque M1 trial by trial, while a brain-computer interface is learned."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import loadmat

from brainalign.data.kinematics import make_kinematics
from brainalign.data.recording import Recording
from brainalign.data.responses import make_responses
from brainalign.data.stimuli import StimulusSet

SUBJECTS = {"20120528": "J", "20160728": "N"}
DECODERS = {"intuitive": "int", "perturbed": "wmp"}
"""The decoder of each block, in order, and the file's name for it (a perturbation within the manifold)."""
STEP = 0.045
"""Seconds of a time step."""
KINEMATICS = {"x_position": "mm", "y_position": "mm"} | {
    f"{quantity}_{decoder}": "mm/s"
    for decoder in DECODERS
    for quantity in ("x_velocity", "y_velocity", "progress")
}


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording of one session: both blocks, in order, by trial, factor and time step."""
    content = loadmat(files[f"{part}.mat"], simplify_cells=True)
    blocks = content["Bs"]
    n_steps = max(int(block["time"].max()) for block in blocks)
    trials = [_first_steps(block) for block in blocks]
    targets = [
        f"{angle:03d}" for block, first in zip(blocks, trials, strict=True) for angle in block["target"][first]
    ]
    time = (np.arange(n_steps) + 0.5) * STEP
    factors = np.concatenate([_by_trial(block, block["latents"], n_steps) for block in blocks])
    responses = make_responses(
        factors, targets, region="M1", subject=SUBJECTS[part], dims=("trial", "unit", "time"), time=time
    ).assign_coords(
        unit=np.array([f"factor{number:02d}" for number in range(1, factors.shape[1] + 1)], dtype=object),
        block=("trial", np.repeat(np.array(list(DECODERS), dtype=object), [len(first) for first in trials])),
        trial_index=("trial", _each(blocks, trials, "trial_index")),
        correct=("trial", _each(blocks, trials, "isCorrect").astype(bool)),
    )
    decoders = content["D"]["decoders"]
    responses.attrs["decoders"] = dict(zip(DECODERS, decoders, strict=True))
    responses.attrs["factor_analysis"] = content["D"]["FactorAnalysisParams"]
    moved = np.concatenate([_by_trial(block, _moved(block), n_steps) for block in blocks])
    kinematics = make_kinematics(moved, targets, KINEMATICS, dims=("trial", "kinematic", "time"), time=time)
    return Recording(name, _stimuli(targets, name), {"M1": responses}, kinematics=kinematics)


def _first_steps(block: dict) -> np.ndarray:
    """Row of each trial's first time step, in order."""
    return np.unique(block["trial_index"], return_index=True)[1]


def _each(blocks: list[dict], trials: list[np.ndarray], key: str) -> np.ndarray:
    return np.concatenate([block[key][first] for block, first in zip(blocks, trials, strict=True)])


def _by_trial(block: dict, steps: np.ndarray, n_steps: int) -> np.ndarray:
    """Put (time step, variable) in its place in (trial, variable, time), NaN where a trial has no such step."""
    numbers, trial = np.unique(block["trial_index"], return_inverse=True)
    values = np.full((len(numbers), steps.shape[1], n_steps), np.nan)
    values[trial, :, block["time"].astype(int) - 1] = steps
    return values


def _moved(block: dict) -> np.ndarray:
    """Place the kinematics of each time step beside each other, in the order of `KINEMATICS`."""
    made = [np.column_stack([block[f"vel_{key}"], block[f"progress_{key}"]]) for key in DECODERS.values()]
    return np.hstack([block["pos"], *made])


def _stimuli(targets: list[str], name: str) -> StimulusSet:
    index = pd.Index(sorted(set(targets)), name="stimulus", dtype=object)
    return StimulusSet(name, pd.DataFrame({"angle": [float(target) for target in index]}, index=index))
