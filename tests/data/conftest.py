"""NWB files laid out as those of the Neural Latents Benchmark are, with few trials and known spikes."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

RATE = 100.0
"""Samples of the hand a second."""


def _trials() -> pd.DataFrame:
    """Six trials of three conditions, two each, of different length; the last without an event."""
    start = np.arange(6) * 2.0
    return pd.DataFrame(
        {
            "start_time": start,
            "stop_time": start + [1.5, 1.2, 1.5, 1.5, 1.9, 1.5],
            "target_on_time": start + 0.2,
            "go_cue_time": start + 0.5,
            "move_onset_time": start + [0.7, 0.75, 0.8, 0.7, 0.9, np.nan],
            "trial_type": [1, 1, 2, 2, 1, 1],
            "trial_version": [0, 0, 0, 0, 1, 1],
            "split": ["train", "train", "train", "val", "train", "none"],
            "cond_dir": [0.0, 0.0, 90.0, 90.0, 180.0, 180.0],
            "ctr_hold_bump": [False, False, False, True, True, True],
            "active_target": [0, 0, 1, 1, 0, 0],
            "notes": ["a", "", "b", " ", "c", "d"],
        }
    )


@dataclass
class SessionFile:
    """What a file is to hold."""

    n_units: int = 4
    trials: pd.DataFrame | None = field(default_factory=_trials)
    spike_times: list[np.ndarray] | None = None
    observed: list[np.ndarray] | None = None
    locations: list[str] | None = field(default_factory=lambda: ["M1", "PMd"])
    """Place of each electrode; unit i is on electrode i modulo their number."""
    stamped: bool = True
    """Whether the hand's samples have timestamps, or a rate."""

    def __post_init__(self):
        if self.spike_times is None:
            rng = np.random.default_rng(5)
            self.spike_times = [np.sort(rng.uniform(0, 12, 400)).round(4) for _ in range(self.n_units)]


@pytest.fixture(scope="session")
def default_session(tmp_path_factory) -> tuple[Path, SessionFile]:
    """A file of the defaults of `SessionFile`, written once, to be read only."""
    pytest.importorskip("pynwb", reason="reading NWB files needs the extra nwb")
    content = SessionFile()
    return _write(tmp_path_factory.mktemp("nwb") / "session.nwb", content), content


@pytest.fixture
def write_session(default_session, tmp_path):
    """Give a file and what it holds: the defaults, or others by keyword."""

    def write(**given) -> tuple[Path, SessionFile]:
        if not given:
            return default_session
        content = SessionFile(**given)
        return _write(tmp_path / "session.nwb", content), content

    return write


def _write(path: Path, content: SessionFile) -> Path:
    import pynwb
    from pynwb.file import Subject

    nwb = pynwb.NWBFile(
        session_description="reaching",
        identifier="session",
        session_start_time=datetime(2009, 9, 25, tzinfo=UTC),
        related_publications=["doi:10.1234/reach"],
    )
    nwb.subject = Subject(subject_id="Jenkins", species="Macaca mulatta", age="P6Y", sex="M")
    if content.spike_times:
        _add_units(nwb, content)
    if content.trials is not None:
        _add_trials(nwb, content.trials)
    times = np.arange(0, 12, 1 / RATE)
    clock = {"timestamps": times} if content.stamped else {"rate": RATE, "starting_time": 0.0}
    behaviour = nwb.create_processing_module("behavior", "movement")
    # A line along x and a parabola along y, in millimetres.
    for name, values, unit in (
        ("hand_pos", np.column_stack([3 * times, times**2]), "m"),
        ("hand_vel", np.column_stack([np.full(len(times), 3.0), 2 * times]), "m/s"),
        ("eye_pos", np.zeros((len(times), 2)), "m"),
        ("cursor_pos", np.column_stack([times, times]), "m"),
        ("finger_vel", np.column_stack([times, times]), "m/s"),
        ("speed", np.hypot(3.0, 2 * times), "m/s"),
    ):
        series = pynwb.TimeSeries(name=name, data=values, unit=unit, conversion=0.001, **clock)
        behaviour.add(series)
    with pynwb.NWBHDF5IO(str(path), mode="w") as opened:
        opened.write(nwb)
    return path


def _add_units(nwb, content: SessionFile) -> None:
    nwb.add_unit_column("heldout", "left out of the input")
    if content.locations:
        device = nwb.create_device("array")
        for place in content.locations:
            group = nwb.create_electrode_group(place, description=place, location=place, device=device)
            nwb.add_electrode(group=group, location=place)
    for unit, spikes in enumerate(content.spike_times or []):
        known: dict = {"spike_times": spikes, "heldout": unit == 0}
        if content.observed is not None:
            known["obs_intervals"] = content.observed[unit]
        if content.locations:
            known["electrodes"] = [unit % len(content.locations)]
        nwb.add_unit(id=100 + unit, **known)


def _add_trials(nwb, trials: pd.DataFrame) -> None:
    """Add the trials, with one or two places of targets each, as many as the benchmark's mazes show."""
    for column in trials.columns.drop(["start_time", "stop_time"]):
        nwb.add_trial_column(column, column)
    nwb.add_trial_column("target_pos", "places of targets", index=True)
    for row in trials.to_dict("records"):
        reached = np.radians(row.get("cond_dir", 0.0))
        place = [100 * np.cos(reached), 100 * np.sin(reached)]
        nwb.add_trial(**row, target_pos=[[-7.0, 7.0]] * row.get("active_target", 0) + [place])
