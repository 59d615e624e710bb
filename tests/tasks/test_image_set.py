"""Image sets: what they must be, resizing, and stratified splits."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from brainalign.errors import BrainalignError
from brainalign.tasks.image_set import ImageSet, stratified_split


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_labels": torch.full((40,), 3)}, "run from 3 to 3; with 3 categories, expected 0 to 2"),
        ({"test_labels": torch.full((20,), -1)}, "test images of 'colours' .* run from -1 to -1"),
        ({"train_labels": torch.zeros(39, dtype=torch.int64)}, r"shape \(39,\) for 40 images"),
        ({"train_labels": torch.zeros(40)}, "labels of torch.float32"),
        ({"train_images": torch.zeros(40, 3, 16, 16)}, "found torch.float32"),
        ({"train_images": torch.zeros(40, 2, 16, 16, dtype=torch.uint8)}, "1 or 3 channels"),
        ({"train_images": torch.zeros(40, 3, 16, 8, dtype=torch.uint8)}, "16 × 8 pixels; expected squares"),
        ({"test_images": torch.zeros(20, 3, 8, 8, dtype=torch.uint8)}, "training images another"),
        (
            {
                "test_images": torch.zeros(0, 3, 16, 16, dtype=torch.uint8),
                "test_labels": torch.zeros(0, dtype=torch.int64),
            },
            "there are none",
        ),
    ],
)
def test_refuses_what_is_no_image_set(colours, change, message):
    with pytest.raises(BrainalignError, match=message):
        dataclasses.replace(colours, **change)


def test_resizing_is_that_of_pillow_to_one_grey_level(colours):
    resized = colours.resized(7)
    assert resized.size == 7 and resized.channels == 3
    for before, after in zip(colours.train_images[:5], resized.train_images[:5], strict=True):
        image = Image.fromarray(before.permute(1, 2, 0).numpy())
        expected = np.asarray(image.resize((7, 7), Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(after.permute(1, 2, 0).numpy().astype(int) - expected).max() <= 1


def test_resizing_to_the_own_size_changes_nothing(colours):
    assert colours.resized(16) is colours


@given(st.lists(st.integers(2, 30), min_size=1, max_size=6), st.floats(0.0, 1.0))
def test_a_stratified_split_gives_each_category_its_share(counts, share):
    labels = np.repeat(np.arange(len(counts)), counts)
    n_test = int(share * len(labels))
    is_test = stratified_split(labels, n_test)
    assert is_test.sum() == n_test
    for category, count in enumerate(counts):
        assert abs(is_test[labels == category].sum() - count * n_test / len(labels)) < 1


def test_a_split_is_the_same_each_time_and_another_with_another_seed():
    labels = np.repeat([0, 1], 50)
    assert (stratified_split(labels, 20) == stratified_split(labels, 20)).all()
    assert (stratified_split(labels, 20) != stratified_split(labels, 20, seed=1)).any()


def test_the_name_of_a_set_is_kept(colours):
    assert isinstance(colours, ImageSet) and colours.resized(4).name == "colours"
