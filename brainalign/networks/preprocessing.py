"""What is done to an image before a network sees it."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import nn

from brainalign.errors import BrainalignError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Preprocessing:
    r"""Resize images to the network's size and standardise their colour channels.

    .. math:: x = (\mathrm{pixel} / \mathrm{scale} - \mathrm{mean}) / \mathrm{std}

    The whole image is resized to `size` × `size`, never cropped, because the animal saw all of it;
    down-sampling is antialiased.

    Parameters
    ----------
    size
        Height and width of the network's input, in pixels.
    mean, std
        One value for each of red, green and blue, ImageNet's by default; one value alone for a network of
        grey images.
    scale
        What pixel values (0 to 255) are divided by first.
    interpolation
        ``"nearest"``, ``"bilinear"``, ``"bicubic"`` or ``"lanczos"``.
    crop_from
        For measuring classification accuracy only, see `with_crop`.

    Raises
    ------
    BrainalignError
        A size below one pixel, neither one nor three channels, an std that is not positive, an unknown
        interpolation, or a crop larger than what it is cut from.

    Examples
    --------
    >>> images = [Image.new("RGB", (50, 30)), Image.new("RGB", (8, 8))]
    >>> tuple(Preprocessing(size=32)(images).shape)
    (2, 3, 32, 32)
    """

    size: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    scale: float = 255.0
    interpolation: str = "bilinear"
    crop_from: int | None = None

    def __post_init__(self):
        problem = ""
        if self.size < 1:
            problem = f"size {self.size} is no number of pixels"
        elif len(self.mean) not in (1, 3) or len(self.mean) != len(self.std):
            problem = f"{len(self.mean)} means and {len(self.std)} stds; give one for each of red, green, blue"
        elif min(*self.std, self.scale) <= 0:
            problem = f"std {self.std} and scale {self.scale} must be positive"
        elif self.interpolation not in _RESAMPLING:
            problem = f"interpolation {self.interpolation!r} is none of {', '.join(_RESAMPLING)}"
        elif self.crop_from is not None and self.crop_from < self.size:
            problem = f"a crop of {self.size} pixels cannot be cut from {self.crop_from}"
        if problem:
            raise BrainalignError(f"This preprocessing cannot be used: {problem}.")

    @property
    def channels(self) -> int:
        """Three for colour, one for grey."""
        return len(self.mean)

    def __call__(self, images: Sequence[Image.Image]) -> Float[torch.Tensor, "stimulus channel height width"]:
        """Turn images into one float32 batch, on the CPU."""
        return self.standardised(torch.from_numpy(self.pixels(images)).permute(0, 3, 1, 2))

    def pixels(self, images: Sequence[Image.Image]) -> UInt8[np.ndarray, "stimulus height width channel"]:
        """Bring images to the network's size and colours."""
        pixels = np.empty((len(images), self.size, self.size, self.channels), dtype=np.uint8)
        mode = "RGB" if self.channels == 3 else "L"
        for row, image in zip(pixels, images, strict=True):
            # A grey image comes as (height, width).
            row[:] = np.asarray(self._resized(image.convert(mode))).reshape(row.shape)
        return pixels

    def standardised(
        self, pixels: UInt8[torch.Tensor, "stimulus channel height width"]
    ) -> Float[torch.Tensor, "stimulus channel height width"]:
        """Turn pixels that have the size already into a float32 batch, on their device."""
        batch = pixels.to(torch.float32, copy=True).contiguous()
        mean, std = (
            torch.tensor(values, device=pixels.device).view(-1, 1, 1) for values in (self.mean, self.std)
        )
        return batch.div_(self.scale).sub_(mean).div_(std)

    def with_crop(self, crop_from: int) -> "Preprocessing":
        """Resize the shorter side to `crop_from` and cut out the centre: the habit of classification.

        For accuracy on photographs only; a comparison with a brain needs the whole stimulus.

        Examples
        --------
        >>> Preprocessing(size=224).with_crop(256).crop_from
        256
        """
        return dataclasses.replace(self, crop_from=crop_from)

    def with_size(self, size: int) -> "Preprocessing":
        """Make the same preprocessing for another image size."""
        return dataclasses.replace(self, size=size)

    def describe(self) -> str:
        """Give every setting as one line of text, the same on every machine: part of cache keys.

        Examples
        --------
        >>> Preprocessing(size=32, mean=(0.5, 0.5, 0.5), std=(1.0, 1.0, 1.0)).describe()
        'size=32 mean=0.5,0.5,0.5 std=1.0,1.0,1.0 scale=255.0 interpolation=bilinear crop_from=none'
        """
        mean, std = (",".join(repr(float(value)) for value in values) for values in (self.mean, self.std))
        return (
            f"size={self.size} mean={mean} std={std} scale={float(self.scale)!r} "
            f"interpolation={self.interpolation} crop_from={self.crop_from or 'none'}"
        )

    def _resized(self, image: Image.Image) -> Image.Image:
        resampling = _RESAMPLING[self.interpolation]
        if self.crop_from is None:
            return image.resize((self.size, self.size), resampling)
        width, height = image.size
        shorter = min(width, height)
        width, height = (self.crop_from * side // shorter for side in (width, height))
        left, top = round((width - self.size) / 2), round((height - self.size) / 2)
        resized = image.resize((width, height), resampling)
        return resized.crop((left, top, left + self.size, top + self.size))


DEFAULT_PREPROCESSING = Preprocessing(size=224)
"""For networks that say nothing themselves: 224 pixels, ImageNet's mean and std."""


def preprocessing_of(module: nn.Module) -> Preprocessing:
    """Give a network's own preprocessing, else `DEFAULT_PREPROCESSING`.

    Raises
    ------
    BrainalignError
        The module has an attribute ``preprocessing`` that is something else.

    Examples
    --------
    >>> preprocessing_of(nn.Linear(2, 2)).size
    224
    """
    preprocessing = getattr(module, "preprocessing", DEFAULT_PREPROCESSING)
    if not isinstance(preprocessing, Preprocessing):
        raise BrainalignError(
            f"The attribute 'preprocessing' of {type(module).__name__} is of type "
            f"{type(preprocessing).__name__}; expected a brainalign.networks.Preprocessing, or no such "
            f"attribute (then images are resized to {DEFAULT_PREPROCESSING.size} pixels and standardised as "
            "for ImageNet)."
        )
    return preprocessing


def set_preprocessing(module: nn.Module, preprocessing: Preprocessing) -> None:
    """Set a network's attribute ``preprocessing``.

    A plain attribute, neither parameter nor submodule, so that the module's weights and layers stay
    what they are.
    """
    object.__setattr__(module, "preprocessing", preprocessing)
