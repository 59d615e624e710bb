"""The next frame: windows move as they should, and a network that sees velocity foresees them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from brainalign.errors import BrainalignError
from brainalign.tasks import Batch, ImageSet, find_task
from brainalign.tasks.next_frame import NextFrame, drifting_frames, grey_bytes


def test_frames_are_slices(colours):
    images = grey_bytes(colours.train_images)
    start, velocity = torch.tensor([[2, 9]]).repeat(40, 1), torch.tensor([[1, -2]]).repeat(40, 1)
    frames = drifting_frames(images, start, velocity, 5)
    for t in range(4):
        top, left = 2 + t, 9 - 2 * t
        assert torch.equal(frames[:, t], images[:, 0, top : top + 5, left : left + 5])


def test_grey_is_pillows_to_one_level(colours):
    found = grey_bytes(colours.train_images)[:, 0]
    for pixels, ours in zip(colours.train_images, found, strict=True):
        theirs = np.asarray(Image.fromarray(pixels.permute(1, 2, 0).numpy()).convert("L")).astype(int)
        assert np.abs(ours.numpy().astype(int) - theirs).max() <= 1


def coordinates(size: int, n: int = 200) -> ImageSet:
    """Images whose pixels number their own places."""
    pixels = torch.arange(size * size, dtype=torch.uint8).view(1, 1, size, size).repeat(n, 1, 1, 1)
    labels = torch.zeros(n, dtype=torch.int64)
    return ImageSet("places", pixels, labels, pixels[:9], labels[:9], ("place",))


@given(st.integers(0, 1000), st.integers(1, 2))
def test_velocity_is_constant_and_windows_stay_inside(seed, speed):
    task = NextFrame(coordinates(14), batch_size=200, speed=speed, scale="unit")
    (batch,) = task.batches(torch.Generator().manual_seed(seed))
    size = task.window_size
    frames = torch.cat([batch.inputs, batch.targets.view(-1, 1, size, size)], 1).mul(255).round().long()
    row, column = frames[:, :, 0, 0] // 14, frames[:, :, 0, 0] % 14
    for place in (row, column):
        step = place.diff(dim=1)
        assert (step == step[:, :1]).all() and step.abs().max() == speed
        assert place.min() >= 0 and place.max() <= 14 - size
        assert set(step[:, 0].tolist()) == set(range(-speed, speed + 1))
    # A window in one piece: its last pixel lies where it should.
    last = frames[:, :, -1, -1] - frames[:, :, 0, 0]
    assert (last == (size - 1) * 15).all()


def test_foresight_costs_nothing_and_copying_something(generator):
    task = find_task("next_frame:digits,size=32")
    batch = next(task.batches(generator))
    assert task.cost(batch.targets, batch).tolist() == [0.0] * 128
    copy = task.cost(batch.inputs[:, 2].flatten(1), batch)
    still = task.cost(torch.zeros_like(batch.targets), batch)
    assert 0 < copy.mean() < still.mean()


def test_a_still_scene_looks_like_a_grey_image(colours):
    task = NextFrame(colours, batch_size=8)
    assert task.preprocessing.channels == 3 and task.preprocessing.size == 8
    assert len(set(task.preprocessing.mean)) == len(set(task.preprocessing.std)) == 1
    exact = grey_bytes(colours.train_images).double() / 255
    assert task.preprocessing.mean[0] == pytest.approx(exact.mean().item())
    assert task.preprocessing.std[0] == pytest.approx(exact.std(correction=0).item())


def test_held_out_windows_are_the_same_each_time(colours):
    task = NextFrame(colours, batch_size=8)
    assert torch.equal(next(task.held_out()).inputs, next(task.held_out()).inputs)


@pytest.mark.parametrize("options", [{"speed": 3}, {"window": 0.9}, {"window": 0.01}])
def test_a_window_that_cannot_move(colours, options):
    with pytest.raises(BrainalignError, match="cannot move over images of 16 pixels"):
        NextFrame(colours, batch_size=8, **options)


def test_a_linear_read_of_three_frames_beats_one_of_the_last():
    """Velocity shows in three frames, and not in one."""
    task = find_task("next_frame:digits,size=12")
    seen, held = (
        Batch(torch.cat([b.inputs for b in batches]), torch.cat([b.targets for b in batches]))
        for batches in (list(task.seen()), list(task.held_out()))
    )

    def cost(channels: slice) -> float:
        x, test = (batch.inputs[:, channels].flatten(1).double() for batch in (seen, held))
        x, test = (torch.cat([each, torch.ones(len(each), 1)], 1) for each in (x, test))
        ridge = x.T @ x + 10 * torch.eye(x.shape[1])
        weights = torch.linalg.solve(ridge, x.T @ seen.targets.double())
        return task.cost((test @ weights).float(), held).mean().item()

    assert cost(slice(0, 3)) < 0.9 * cost(slice(2, 3))
