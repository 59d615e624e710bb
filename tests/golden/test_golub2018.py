"""Facts of M1 before and after learning: sizes, decoders that reproduce the file, and progress that rises."""

import numpy as np
import pytest

from brainalign.data.load import load_recording

pytestmark = pytest.mark.data


@pytest.fixture(params=["before", "after"])
def recording(request, mirror):
    return load_recording(f"golub2018/{request.param}")


def test_sizes_and_directions(recording):
    counts = recording["M1"]
    assert counts.sizes == {"trial": 552, "unit": 86}
    assert counts.attrs["factors"].shape == (552, 10)
    angle = recording.stimuli.metadata["angle"].loc[counts["stimulus"].values].values
    assert recording.stimuli.metadata["angle"].tolist() == list(range(0, 360, 45))
    off = (counts["target_direction"].values - angle + 180) % 360 - 180
    assert 19 < abs(off).max() <= 22.5


@pytest.mark.parametrize("decoder", ["intuitive", "perturbed"])
def test_velocity_and_progress_are_the_decoders(recording, decoder):
    counts, moved = recording["M1"], recording.kinematics
    mapping = counts.attrs["decoders"][decoder]
    velocity = moved.sel(kinematic=[f"x_velocity_{decoder}", f"y_velocity_{decoder}"]).values
    np.testing.assert_allclose(velocity, counts.values @ mapping["M2"].T + mapping["m0"], atol=1e-9)
    direction = np.radians(counts["target_direction"].values)
    toward = velocity[:, 0] * np.cos(direction) + velocity[:, 1] * np.sin(direction)
    np.testing.assert_allclose(counts[f"progress_{decoder}"], mapping["dt"] * toward, atol=1e-9)
    assert moved.attrs["units"][f"x_velocity_{decoder}"] == "mm/s"


def test_the_monkey_learns_the_perturbed_decoder(mirror):
    before, after = (
        load_recording(f"golub2018/{part}")["M1"]["progress_perturbed"].groupby("stimulus").mean()
        for part in ("before", "after")
    )
    assert before.mean() == pytest.approx(1.19, abs=0.005)
    assert after.mean() == pytest.approx(2.05, abs=0.005)
    assert (after.values > before.values).sum() == 6
