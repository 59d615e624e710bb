"""Facts of the electromyograms: sizes, and when the muscles are active."""

import pytest
from scipy.io import loadmat

from brainalign.data.cards import find_card
from brainalign.data.load import load_recording

pytestmark = pytest.mark.data


def test_sizes_and_activity(mirror):
    recording = load_recording("bachschmid2023")
    emg = recording["EMG"]
    assert emg.sizes == {"stimulus": 8, "unit": 13, "time": 3341}
    (file,) = find_card("bachschmid2023")[0].files
    raw = loadmat(mirror / file.url.removeprefix("https://"))["all_EMG"]
    assert emg.values[5, 11, 2000] == raw[11, 2000, 5]
    amplitude = abs(emg).mean(("stimulus", "unit"))
    assert amplitude[1200:].min() > 10 * amplitude[:500].mean()


def test_nothing_is_claimed_that_the_file_does_not_say(mirror):
    recording = load_recording("bachschmid2023")
    assert "time" not in recording["EMG"].coords
    assert recording.stimuli is not None
    assert "angle" not in recording.stimuli.metadata
