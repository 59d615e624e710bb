"""Facts of the averaged reaches: sizes, times, and what the preprocessing left."""

import numpy as np
import pytest
from scipy.io import loadmat

from brainalign.data.cards import find_card
from brainalign.data.load import load_recording

pytestmark = pytest.mark.data


def test_sizes_times_and_values(mirror):
    recording = load_recording("churchland2012")
    rates = recording["M1/PMd"]
    assert rates.sizes == {"stimulus": 10, "unit": 50, "time": 61}
    np.testing.assert_allclose(rates["time"], np.arange(-50, 551, 10) / 1000, atol=1e-15)
    (file,) = find_card("churchland2012")[0].files
    tensor = loadmat(mirror / file.url.removeprefix("https://"))["dataTensor"]
    assert rates.sel(stimulus="condition03").isel(unit=7, time=11).item() == tensor[11, 7, 2]
    assert abs(rates.mean("stimulus")).max() < 0.1
    spread = np.ptp(rates.values, axis=(0, 2))
    assert np.median(spread) > 0.5 and spread.max() < 1


def test_reaches_are_not_told_apart_by_angle(mirror):
    recording = load_recording("churchland2012")
    assert recording.stimuli is not None
    assert recording.stimuli.metadata.columns.empty
    assert recording.kinematics is None
