"""Facts of the reaching rates: sizes, directions, and how well the nearest mean names them."""

import numpy as np
import pytest

from brainalign.data.load import load_recording

pytestmark = pytest.mark.data


@pytest.fixture
def recording(mirror):
    return load_recording("hatsopoulos2004")


def test_sizes_and_directions(recording):
    rates = recording["M1/PMd"]
    assert rates.sizes == {"trial": 158, "unit": 143}
    assert recording.stimuli.metadata["angle"].tolist() == list(range(0, 360, 45))
    directions, counts = np.unique(rates["stimulus"].values, return_counts=True)
    assert dict(zip(directions, counts.tolist(), strict=True)) == {
        "000": 14, "045": 12, "090": 22, "135": 20, "180": 25, "225": 24, "270": 24, "315": 17,
    }  # fmt: skip


def test_nearest_mean_names_the_direction_left_out(recording):
    rates, labels = recording["M1/PMd"].values, recording["M1/PMd"]["stimulus"].values
    right = 0
    for trial in range(len(rates)):
        others = np.arange(len(rates)) != trial
        means = {each: rates[others & (labels == each)].mean(axis=0) for each in recording.stimuli.ids}
        right += labels[trial] == min(means, key=lambda each: np.linalg.norm(rates[trial] - means[each]))
    assert right / len(rates) == pytest.approx(0.791, abs=0.002)
