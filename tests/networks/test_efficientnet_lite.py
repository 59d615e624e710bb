"""EfficientNet-Lite0 on photographs: right weights with the right preprocessing."""

import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from brainalign.networks import Preprocessing, load_network

N_CLASSES = 1000
BATCH = 50


def test_preprocessing():
    network = load_network("efficientnet-lite0")
    assert network.preprocessing == Preprocessing(
        224, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0), scale=1.0
    )
    grey = network.preprocessing([Image.new("RGB", (8, 8), (127, 255, 0))])
    np.testing.assert_allclose(grey[0, :, 0, 0], [0.0, 1.0, -127 / 128])


@pytest.mark.data
def test_names_imagenet_photographs(image_sets):
    """One photograph a class; the sorted WordNet ids are the class indices."""
    network = load_network("efficientnet-lite0")
    preprocessing = network.preprocessing.with_crop(256)
    # Colour last in memory: the same answers in half the time.
    network.to(memory_format=torch.channels_last)
    right = 0
    with tarfile.open(image_sets / "imagenet-sample-1000.tar") as archive, torch.inference_mode():
        members = sorted(archive.getmembers(), key=lambda member: member.name)
        assert len({member.name.split("_")[0] for member in members}) == N_CLASSES
        for start in range(0, N_CLASSES, BATCH):
            images = [Image.open(archive.extractfile(member)) for member in members[start : start + BATCH]]
            answers = network(preprocessing(images)).argmax(1)
            right += int((answers == torch.arange(start, start + len(images))).sum())
    assert 100 * right / N_CLASSES == pytest.approx(86.9, abs=0.5)
