"""Facts of the single IT units: sizes, repeats, counts against a plain loop over spikes, reliability."""

import numpy as np
import pytest
from scipy.io import loadmat

from brainalign.data.cards import find_card
from brainalign.data.load import load_recording
from brainalign.metrics.reliability import split_half_reliability

pytestmark = pytest.mark.data


@pytest.fixture
def recording(mirror):
    return load_recording("zhang2011")


def test_sizes_conditions_and_repeats(recording):
    counts = recording["IT"]
    assert counts.sizes == {"stimulus": 21, "unit": 132, "repeat": 20}
    metadata = recording.stimuli.metadata
    assert set(metadata["object"]) == {"car", "couch", "face", "flower", "guitar", "hand", "kiwi"}
    assert set(metadata["position"]) == {"upper", "middle", "lower"}
    assert recording.stimuli.ids == (metadata["object"] + "_" + metadata["position"]).tolist()
    n_repeats = np.isfinite(counts.values).sum(axis=2)
    assert (n_repeats.min(), n_repeats.max()) == (19, 20)
    # One session of seven units lacks one trial.
    assert (n_repeats == 19).sum() == 7
    short = counts["session"].values[(n_repeats == 19).any(axis=0)]
    assert short.tolist() == ["bp1006"] * 7
    assert recording.stimuli.images is None


def test_counts_are_spikes_from_100_to_400_ms_after_onset(recording, mirror):
    card, _ = find_card("zhang2011")
    for file in (card.files[0], card.files[60], card.files[-1]):
        content = loadmat(mirror / file.url.removeprefix("https://"))
        raster = content["raster_data"]
        labels = [str(label[0]) for label in content["raster_labels"]["combined_ID_position"][0, 0].ravel()]
        onset = int(content["raster_site_info"]["alignment_event_time"][0, 0][0, 0])
        assert onset == 501
        unit = recording["IT"].sel(unit=file.path.removesuffix("_raster_data.mat"))
        for condition in recording.stimuli.ids:
            expected = [
                # MATLAB counts samples from 1: sample `onset` is the first millisecond of the stimulus.
                sum(int(raster[trial, sample - 1]) for sample in range(onset + 100, onset + 400))
                for trial in range(len(labels))
                if labels[trial] == condition
            ]
            found = unit.sel(stimulus=condition).values
            np.testing.assert_array_equal(found[np.isfinite(found)], expected)


def test_split_half_reliability(recording):
    reliability = split_half_reliability(recording["IT"].values, 20, np.random.default_rng(0))
    assert np.median(reliability) == pytest.approx(0.80, abs=0.02)
    # Over draws of 20 halves the count runs from 118 to 122: four units lie close to 0.3.
    assert (reliability > 0.3).sum() == pytest.approx(118, abs=3)
