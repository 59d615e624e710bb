"""Rotation: which way images turn, and what is to be answered."""

import numpy as np
import pytest
import torch

from brainalign.tasks.rotation import Rotation, turned


def test_turning_is_numpys(colours):
    quarters = torch.arange(40) % 4
    found = turned(colours.train_images, quarters)
    for image, quarter, result in zip(colours.train_images, quarters, found, strict=True):
        assert (np.rot90(image.numpy(), int(quarter), (1, 2)) == result.numpy()).all()


def test_turning_leaves_the_images_as_they_were(colours):
    before = colours.train_images.clone()
    turned(colours.train_images, torch.full((40,), 2))
    assert torch.equal(colours.train_images, before)


def test_targets_are_the_turns_and_labels_the_categories(colours, generator):
    task = Rotation(colours, batch_size=40, scale="unit")
    (batch,) = task.batches(generator)
    known = {
        tuple(image.flatten().tolist()): label
        for image, label in zip(
            (colours.train_images.float() / 255), colours.train_labels.tolist(), strict=True
        )
    }
    assert set(batch.targets.tolist()) == {0, 1, 2, 3}
    for image, quarter, label in zip(batch.inputs, batch.targets.tolist(), batch.labels.tolist(), strict=True):
        assert known[tuple(image.rot90(-quarter, (1, 2)).flatten().tolist())] == label


def test_rotations_are_drawn_evenly(generator):
    from brainalign.tasks import find_task

    task = find_task("rotation:digits")
    counts = sum(batch.targets.bincount(minlength=4) for _ in range(5) for batch in task.batches(generator))
    n = int(counts.sum())
    assert ((counts - n / 4).abs() < 5 * (n * 3 / 16) ** 0.5).all()


def test_cost_and_correct(colours, generator):
    task = Rotation(colours, batch_size=8)
    batch = next(task.batches(generator))
    outputs = torch.zeros(8, 4)
    assert task.cost(outputs, batch).tolist() == pytest.approx([np.log(4)] * 8)
    right = 10 * torch.nn.functional.one_hot(batch.targets, 4).float()
    assert task.correct(right, batch).tolist() == [1.0] * 8
    assert task.cost(right, batch).max() < 2e-4


def test_held_out_images_are_turned_alike_each_time(colours):
    task = Rotation(colours, batch_size=8)
    first, second = next(task.held_out()), next(task.held_out())
    assert torch.equal(first.inputs, second.inputs) and torch.equal(first.targets, second.targets)
