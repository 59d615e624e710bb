"""Preprocessing against torchvision's own presets, and against arithmetic."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from brainalign.errors import BrainalignError
from brainalign.networks import DEFAULT_PREPROCESSING, Preprocessing, preprocessing_of
from brainalign.networks.preprocessing import set_preprocessing


def _photograph(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("width,height", [(256, 256), (500, 375), (375, 500), (300, 225), (233, 241)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_cropped_as_torchvision_does(width, height, interpolation):
    image = _photograph(width, height)
    preset = ImageClassification(crop_size=224, resize_size=232, interpolation=InterpolationMode(interpolation))
    ours = Preprocessing(224, interpolation=interpolation).with_crop(232)([image])
    torch.testing.assert_close(ours[0], preset(image), rtol=0, atol=1e-6)


def test_whole_image_is_kept():
    """A red frame one pixel wide must leave its mark on all four sides, in any aspect ratio."""
    pixels = np.zeros((90, 200, 3), dtype=np.uint8)
    pixels[[0, -1], :, 0] = pixels[:, [0, -1], 0] = 255
    plain = Preprocessing(32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    batch = plain([Image.fromarray(pixels)])
    red = batch[0, 0]
    assert min(red[0].min(), red[-1].min(), red[:, 0].min(), red[:, -1].min()) > 0.05
    cropped = plain.with_crop(32)([Image.fromarray(pixels)])[0, 0]
    assert cropped[:, 0].median() == 0


def test_down_sampling_is_antialiased():
    """Without antialiasing a pixel-wide checkerboard turns into an arbitrary pattern, not into grey."""
    board = (np.indices((224, 224)).sum(0) % 2 * 255).astype(np.uint8)
    plain = Preprocessing(32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    inner = plain([Image.fromarray(board)])[0, :, 2:-2, 2:-2]
    torch.testing.assert_close(inner, torch.full_like(inner, 0.5), rtol=0, atol=0.01)


def test_equation_at_the_native_size():
    image = _photograph(20, 20)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    batch = Preprocessing(20, mean, std, scale=200.0)([image, image])
    expected = (np.asarray(image, dtype=np.float64) / 200 - mean) / std
    assert batch.dtype == torch.float32
    np.testing.assert_allclose(batch[1].permute(1, 2, 0), expected, atol=1e-6)


def test_grey_and_transparent_images_become_rgb():
    grey = Image.new("L", (16, 16), 100)
    batch = Preprocessing(16, mean=(0.0,) * 3, std=(1.0,) * 3)([grey, grey.convert("RGBA")])
    torch.testing.assert_close(batch, torch.full((2, 3, 16, 16), 100 / 255))


def test_no_images_make_an_empty_batch():
    assert Preprocessing(8)([]).shape == (0, 3, 8, 8)


def test_description_tells_every_setting_apart():
    base = Preprocessing(64)
    others = [
        Preprocessing(65),
        Preprocessing(64, mean=(0.485, 0.456, 0.407)),
        Preprocessing(64, std=(0.229, 0.224, 0.226)),
        Preprocessing(64, scale=1.0),
        Preprocessing(64, interpolation="bicubic"),
        base.with_crop(64),
        base.with_crop(72),
    ]
    texts = [preprocessing.describe() for preprocessing in (base, *others)]
    assert len(set(texts)) == len(texts)
    assert Preprocessing(64).describe() == base.describe()


@pytest.mark.parametrize(
    "settings,match",
    [
        ({"size": 0}, "size 0 is no number of pixels"),
        ({"size": 8, "mean": (0.5,)}, "1 means and 3 stds"),
        ({"size": 8, "std": (1.0, 0.0, 1.0)}, "must be positive"),
        ({"size": 8, "scale": -1.0}, "must be positive"),
        ({"size": 8, "interpolation": "bilinaer"}, "none of nearest, bilinear"),
        ({"size": 8, "crop_from": 7}, "cannot be cut from 7"),
    ],
)
def test_bad_settings(settings, match):
    with pytest.raises(BrainalignError, match=match):
        Preprocessing(**settings)


def test_of_a_foreign_module():
    assert preprocessing_of(nn.Linear(2, 2)) is DEFAULT_PREPROCESSING


def test_set_is_neither_weight_nor_layer():
    module = nn.Linear(2, 2)
    before = list(module.state_dict()), list(module.named_modules())
    set_preprocessing(module, Preprocessing(12))
    assert preprocessing_of(module).size == 12
    assert (list(module.state_dict()), list(module.named_modules())) == before


def test_attribute_of_another_kind():
    module = nn.Linear(2, 2)
    module.preprocessing = nn.Identity()
    with pytest.raises(BrainalignError, match=r"of Linear is of type Identity; expected a brainalign"):
        preprocessing_of(module)
