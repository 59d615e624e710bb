"""Small image sets, and the cache that decoded pictures of the session share."""

import pytest
import torch

from brainalign.tasks import ImageSet


@pytest.fixture
def colours() -> ImageSet:
    """Sixty colour images of 16 × 16 pixels in three categories, 40 for training."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (60, 3, 16, 16), generator=generator, dtype=torch.uint8)
    labels = torch.arange(60) % 3
    return ImageSet("colours", pixels[:40], labels[:40], pixels[40:], labels[40:], ("a", "b", "c"))


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
