"""Facts of learning trial by trial: sizes, targets, decoders, and progress that is flat on J's day."""

import numpy as np
import pytest
from scipy.io import loadmat

from brainalign.data.cards import find_card
from brainalign.data.load import load_recording

pytestmark = pytest.mark.data


@pytest.fixture
def recording(mirror):
    return load_recording("hennig2021/20120528")


def test_sizes_blocks_and_targets(recording):
    factors = recording["M1"]
    assert factors.sizes == {"trial": 1324, "unit": 10, "time": 20}
    np.testing.assert_allclose(factors["time"][[0, -1]], [0.0225, 0.8775])
    blocks = factors["block"].values
    assert (blocks[:411] == "intuitive").all() and (blocks[411:] == "perturbed").all()
    assert factors["trial_index"].values.tolist() == list(range(1, 1325))
    assert factors["correct"].values[:411].all()
    assert 0.99 < factors["correct"].values[411:].mean() < 1
    assert recording.stimuli.metadata["angle"].tolist() == list(range(0, 360, 45))


def test_every_step_of_the_file_is_in_its_place(recording, mirror):
    factors, moved = recording["M1"], recording.kinematics
    (file,) = (file for file in find_card("hennig2021")[0].files if file.path == "20120528.mat")
    blocks = loadmat(mirror / file.url.removeprefix("https://"), simplify_cells=True)["Bs"]
    assert np.isfinite(factors.values).all(axis=1).sum() == sum(len(block["time"]) for block in blocks)
    assert (np.isfinite(factors.values).any(axis=1) == np.isfinite(moved.values).all(axis=1)).all()
    for block, row in ((0, 0), (0, 7493), (1, 5000), (1, 16856)):
        trial, step = int(blocks[block]["trial_index"][row]) - 1, int(blocks[block]["time"][row]) - 1
        np.testing.assert_array_equal(factors.values[trial, :, step], blocks[block]["latents"][row])
        np.testing.assert_array_equal(moved.values[trial, :2, step], blocks[block]["pos"][row])
        assert factors["stimulus"].values[trial] == f"{blocks[block]['target'][row]:03d}"


@pytest.mark.parametrize("decoder", ["intuitive", "perturbed"])
def test_velocity_is_the_decoders(recording, decoder):
    factors = recording["M1"]
    mapping = factors.attrs["decoders"][decoder]["fDecoder"]
    expected = np.einsum("vf,tfs->tvs", mapping["M2"], factors.values) + mapping["M0"][:, None]
    found = recording.kinematics.sel(kinematic=[f"x_velocity_{decoder}", f"y_velocity_{decoder}"]).values
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_progress_is_the_part_of_velocity_toward_the_target(recording):
    moved = recording.kinematics
    angle = np.radians([float(each) for each in moved["stimulus"].values])[:, None]
    x = 151.62 * np.cos(angle) - moved.sel(kinematic="x_position").values
    y = 400 + 151.62 * np.sin(angle) - moved.sel(kinematic="y_position").values
    toward = x * moved.sel(kinematic="x_velocity_perturbed") + y * moved.sel(kinematic="y_velocity_perturbed")
    # The target's distance is known to 0.02 only.
    np.testing.assert_allclose(toward / np.hypot(x, y), moved.sel(kinematic="progress_perturbed"), atol=0.5)


def test_j_does_not_improve(recording):
    progress = recording.kinematics.sel(kinematic="progress_perturbed").mean("time").values[411:]
    first, second = progress[:456].mean(), progress[456:].mean()
    assert first == pytest.approx(54.5, abs=0.1)
    assert second == pytest.approx(55.4, abs=0.1)
