"""Facts of M1 under two decoders: sizes, the decoder's equation bin by bin, directions and trials."""

import numpy as np
import pytest
from scipy.io import loadmat

from brainalign.data.cards import find_card
from brainalign.data.load import load_recording

pytestmark = pytest.mark.data

BINS = {"block1": 4788, "block2": 7446}


@pytest.fixture(params=BINS)
def recording(request, mirror):
    return load_recording(f"hennig2018/{request.param}")


def test_sizes_trials_and_directions(recording):
    counts = recording["M1"]
    part = recording.name.split("/")[1]
    assert counts.sizes == {"trial": BINS[part] - 835, "unit": 87}
    assert counts.attrs["factors"].shape == (BINS[part] - 835, 10)
    assert np.unique(counts["trial_index"]).tolist() == list(range(1, 168))
    assert (np.diff(counts["trial_index"]) >= 0).all()
    assert recording.stimuli.metadata["angle"].tolist() == list(range(0, 360, 45))


def test_frozen_bins_are_five_at_the_beginning_of_each_trial(recording, mirror):
    (file,) = find_card("hennig2018")[0].files
    blocks = loadmat(mirror / file.url.removeprefix("https://"), simplify_cells=True)["D"]["blocks"]
    frozen = blocks[int(recording.name[-1]) - 1]["isFreezePeriod"]
    starts, ends = (np.flatnonzero(np.diff(np.r_[0, frozen, 0].astype(int)) == sign) for sign in (1, -1))
    assert set(ends - starts) == {5}
    assert starts[0] == 0 and len(starts) == 167


def test_the_decoder_moves_the_cursor(recording):
    counts, moved = recording["M1"], recording.kinematics
    decoder = counts.attrs["decoder"]
    upward = np.array([1, -1])
    velocity, after = moved.values[:, :2] * upward, moved.values[:, 2:] * upward
    expected = velocity @ decoder["M1"].T + counts.values @ decoder["M2"].T + decoder["M0"]
    np.testing.assert_allclose(after, expected, atol=1e-3)


def test_directions_are_those_of_the_next_velocity(recording):
    moved = recording.kinematics
    angle = np.degrees(
        np.arctan2(moved.sel(kinematic="y_velocity_next"), moved.sel(kinematic="x_velocity_next"))
    )
    grouped = np.array([float(each) for each in moved["stimulus"].values])
    off = (angle - grouped + 180) % 360 - 180
    assert abs(off).max() <= 22.5 + 1e-6
