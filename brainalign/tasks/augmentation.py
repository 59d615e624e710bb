"""Random views of images: crops, flips and changed colours, drawn for each image from a generator."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Images = Float[Tensor, "image channel height width"]
GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


def random_view(
    images: Images, generator: torch.Generator, min_area: float = 0.2, jitter: float = 0.5
) -> Images:
    """Crop, flip and recolour each image at random (Chen et al. 2020, app. A, without hue and blur).

    Images of one channel are not flipped, because digits and letters are other ones then.

    Parameters
    ----------
    images
        Values from 0 to 1.
    generator
        For all that is drawn.
    min_area
        The least share of an image that a crop shows.
    jitter
        Strength of the changes of brightness, contrast and saturation.
    """
    views = resized_crop(images, generator, min_area, flip=images.shape[1] == 3)
    return recoloured(views, generator, jitter)


def resized_crop(
    images: Images, generator: torch.Generator, min_area: float, flip: bool, max_ratio: float = 4 / 3
) -> Images:
    """Crop a rectangle from each image, between `min_area` and all of it, and resize it to the whole.

    Parameters
    ----------
    images
        The images.
    generator
        For all that is drawn.
    min_area
        The least share of the area.
    flip
        Whether each second view or so is mirrored left to right.
    max_ratio
        The largest ratio of the sides, of either to the other, as drawn; sides end at the image's.
    """
    area, ratio, x, y, mirror = torch.rand(5, len(images), generator=generator)
    area = min_area + (1 - min_area) * area
    ratio = ((2 * ratio - 1) * math.log(max_ratio) / 2).exp()
    width, height = ((area.sqrt() * side).clamp(max=1) for side in (ratio, 1 / ratio))
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0] = width * (1 - 2 * (mirror < 0.5).float() * flip)
    theta[:, 1, 1] = height
    # Centres so that the crop stays inside, in coordinates from −1 to 1.
    theta[:, 0, 2], theta[:, 1, 2] = (1 - width) * (2 * x - 1), (1 - height) * (2 * y - 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def recoloured(images: Images, generator: torch.Generator, jitter: float, p: float = 0.8) -> Images:
    """Change brightness, contrast and, in colour, saturation, with probability `p`; a fifth turns grey.

    Each factor is drawn between 1 − 0.8 jitter and 1 + 0.8 jitter, at least 0; values stay from 0 to 1.
    """
    n = len(images)
    factors = (1 + 0.8 * jitter * (2 * torch.rand(3, n, 1, 1, 1, generator=generator) - 1)).clamp(min=0)
    chosen, greyed = torch.rand(2, n, 1, 1, 1, generator=generator)
    brightness, contrast, saturation = torch.where(chosen < p, factors, torch.ones(()))
    images = (images * brightness).clamp(0, 1)
    mean = grey(images).mean((1, 2, 3), keepdim=True)
    images = (mean + contrast * (images - mean)).clamp(0, 1)
    if images.shape[1] == 1 or jitter == 0:
        return images
    images = (grey(images) + saturation * (images - grey(images))).clamp(0, 1)
    return torch.where(greyed < 0.2, grey(images).expand_as(images), images)


def grey(images: Images) -> Float[Tensor, "image 1 height width"]:
    """Give the brightness of each pixel.

    Examples
    --------
    >>> grey(torch.ones(1, 3, 1, 1)).item()
    1.0
    """
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(GREY, dtype=images.dtype, device=images.device).view(3, 1, 1)
    return (images * weights).sum(1, keepdim=True)
