"""Facts of the single-trial spikes: sizes, bins against single spikes, and decoding of the reach."""

import numpy as np
import pytest
from scipy.io import loadmat

from brainalign.data.cards import find_card
from brainalign.data.load import load_recording

pytestmark = pytest.mark.data


def _trials(mirror, part):
    (file,) = (file for file in find_card("yu2009")[0].files if part in (file.parts or []))
    return loadmat(mirror / file.url.removeprefix("https://"))["D"][0]


@pytest.mark.parametrize(
    ("part", "sizes", "first", "last"),
    [
        ("delay", {"trial": 210, "unit": 61, "time": 20}, 0.11, 0.49),
        ("reach", {"trial": 112, "unit": 61, "time": 50}, 0.01, 0.99),
    ],
)
def test_sizes_times_and_conditions(mirror, part, sizes, first, last):
    recording = load_recording(f"yu2009/{part}")
    counts = recording["M1/PMd"]
    assert counts.sizes == sizes
    np.testing.assert_allclose(counts["time"][[0, -1]], [first, last], atol=1e-12)
    _, trials = np.unique(counts["stimulus"].values, return_counts=True)
    assert set(trials) == {30 if part == "delay" else 56}
    assert recording.stimuli.ids == [f"reach{number}" for number in range(1, len(trials) + 1)]
    assert "angle" not in recording.stimuli.metadata


@pytest.mark.parametrize("part", ["delay", "reach"])
def test_bins_count_the_spikes_of_twenty_milliseconds(mirror, part):
    counts = load_recording(f"yu2009/{part}")["M1/PMd"]
    for number, trial in list(enumerate(_trials(mirror, part)))[::37]:
        assert counts["stimulus"].values[number] == trial["condition"].item()
        assert counts["duration"].values[number] == trial["data"].shape[1] / 1000
        for unit, moment in ((0, 0), (30, 7), (60, 19)):
            expected = sum(int(spike) for spike in trial["data"][unit, 20 * moment : 20 * (moment + 1)])
            assert counts.values[number, unit, moment] == expected


def test_durations_of_whole_trials(mirror):
    assert set(load_recording("yu2009/delay")["M1/PMd"]["duration"].values) == {0.4}
    durations = load_recording("yu2009/reach")["M1/PMd"]["duration"].values
    assert (durations.min(), durations.max()) == (1.018, 1.526)


@pytest.mark.parametrize(("transform", "accuracy"), [(np.asarray, 0.962), (np.sqrt, 0.981)])
def test_nearest_mean_names_the_reach_left_out(mirror, transform, accuracy):
    recording = load_recording("yu2009/delay")
    counts = recording["M1/PMd"].sum("time")
    values, labels = transform(counts.values), counts["stimulus"].values
    right = 0
    for trial in range(len(values)):
        others = np.arange(len(values)) != trial
        means = {each: values[others & (labels == each)].mean(axis=0) for each in recording.stimuli.ids}
        right += labels[trial] == min(means, key=lambda each: np.linalg.norm(values[trial] - means[each]))
    assert right / len(values) == pytest.approx(accuracy, abs=0.002)
