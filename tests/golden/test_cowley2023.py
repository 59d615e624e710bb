"""Facts of the V4 recordings: sizes, order, the mean over repeats, reliability."""

import numpy as np
import pytest

from brainalign.data.cards import find_card
from brainalign.data.load import load_recording
from brainalign.metrics.reliability import split_half_reliability

pytestmark = pytest.mark.data

DAYS = {
    "190928": (24, 1200, "WE"),
    "201025": (89, 1200, "PE"),
    "210325": (50, 640, "PE"),
    "210621": (51, 1200, "RA"),
}


def _file(mirror, folder, day):
    card, _ = find_card("cowley2023")
    url = next(file.url for file in card.files if file.path.startswith("responses_"))
    root = url.split("/data_V4_responses/")[0].removeprefix("https://")
    return mirror / root / "data_V4_responses" / folder / f"responses_{day}.npy"


def _repeats():
    return load_recording("cowley2023/210325")["V4"].transpose("stimulus", "unit", "repeat").values


@pytest.mark.parametrize("day", DAYS)
def test_units_images_and_animal(day, mirror):
    n_units, n_images, animal = DAYS[day]
    recording = load_recording(f"cowley2023/{day}")
    counts = recording["V4"]
    assert (counts.sizes["unit"], counts.sizes["stimulus"]) == (n_units, n_images)
    assert set(counts["subject"].values) == {animal}
    assert recording.stimuli.ids[0] == f"{day}/image0001"
    assert recording.stimuli.ids[-1] == f"{day}/image{n_images:04d}"
    assert recording.stimuli.image(recording.stimuli.ids[-1]).size == (112, 112)


@pytest.mark.parametrize("day", DAYS)
def test_mean_over_repeats_is_the_published_one_row_by_row(day, mirror):
    counts = load_recording(f"cowley2023/{day}")["V4"]
    mean = counts.mean("repeat") if "repeat" in counts.dims else counts
    published = np.load(_file(mirror, "responses_repeat_averaged", day), allow_pickle=False)
    np.testing.assert_array_equal(mean.transpose("unit", "stimulus").values, published)


def test_repeats_are_counts_and_fill_from_the_front(mirror):
    counts = _repeats()
    n_repeats = np.isfinite(counts).sum(axis=2)
    assert counts.shape == (640, 50, 10)
    assert (n_repeats.min(), n_repeats.max()) == (6, 10)
    assert (n_repeats == n_repeats[:, :1]).all()
    np.testing.assert_array_equal(np.isfinite(counts), np.arange(10) < n_repeats[:, :, None])
    valid = counts[np.isfinite(counts)]
    np.testing.assert_array_equal(valid, np.round(valid))
    assert valid.min() == 0


@pytest.mark.parametrize(("repeats", "median"), [(slice(None), 0.765), (slice(6), 0.73)])
def test_split_half_reliability(repeats, median, mirror):
    reliability = split_half_reliability(_repeats()[:, :, repeats], 20, np.random.default_rng(0))
    assert np.median(reliability) == pytest.approx(median, abs=0.02)


def test_images_shown_twice_are_marked(mirror):
    stimuli = load_recording("cowley2023/210621").stimuli
    doubles = stimuli.metadata.query("stimulus != image")["image"].to_dict()
    assert doubles == {"210621/image0536": "210621/image0101", "210621/image0697": "210621/image0425"}
    for second, first in doubles.items():
        assert stimuli.images[second].read() == stimuli.images[first].read()
    for day in ("190928", "201025", "210325"):
        metadata = load_recording(f"cowley2023/{day}").stimuli.metadata
        assert (metadata["image"] == metadata.index).all()


def test_an_image_shown_twice_is_answered_alike(mirror):
    recording = load_recording("cowley2023/210621")
    counts = recording["V4"]
    pattern = counts / counts.std("stimulus")
    pattern = pattern - pattern.mean("stimulus")
    for second, first in recording.stimuli.metadata.query("stimulus != image")["image"].items():
        distance = ((pattern - pattern.sel(stimulus=first)) ** 2).sum("unit").to_series().drop(first)
        # Were rows and images out of step, the double would be anywhere among the 1199 others.
        assert distance.rank()[second] <= 12


def test_ids_of_different_days_never_meet(mirror):
    ids = [stimulus for day in DAYS for stimulus in load_recording(f"cowley2023/{day}").stimuli.ids]
    assert len(ids) == len(set(ids))
