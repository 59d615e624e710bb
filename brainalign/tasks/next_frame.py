"""Foresee the next frame of a window that drifts over an image."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from brainalign.errors import BrainalignError
from brainalign.networks import Preprocessing
from brainalign.tasks.augmentation import grey
from brainalign.tasks.autoencoding import reconstruction_error
from brainalign.tasks.image_task import ImageTask, Labels, Pixels
from brainalign.tasks.task import Batch

FRAMES = 4
"""Three that are shown, and the one that is to be foreseen."""


def grey_bytes(pixels: Pixels) -> UInt8[Tensor, "image 1 height width"]:
    """Give images in grey, as bytes."""
    if pixels.shape[1] == 1:
        return pixels
    return torch.cat([grey(piece.float()).round_().to(torch.uint8) for piece in pixels.split(1000)])


def drifting_frames(
    images: UInt8[Tensor, "image 1 side side"],
    start: Int64[Tensor, "image 2"],
    velocity: Int64[Tensor, "image 2"],
    window: int,
) -> UInt8[Tensor, "image 4 window window"]:
    """Cut four windows from each image, each moved on by the velocity, in pixels (down, right).

    Examples
    --------
    >>> image = torch.arange(25, dtype=torch.uint8).view(1, 1, 5, 5)
    >>> drifting_frames(image, torch.tensor([[0, 0]]), torch.tensor([[1, 0]]), 2)[0, :, 0, 0].tolist()
    [0, 5, 10, 15]
    """
    corner = start[:, None] + torch.arange(FRAMES)[:, None] * velocity[:, None]
    place = corner[..., None] + torch.arange(window)
    rows, columns = place[:, :, 0, :, None], place[:, :, 1, None, :]
    return images[:, 0][torch.arange(len(images))[:, None, None, None], rows, columns]


@dataclass(frozen=True)
class NextFrame(ImageTask):
    r"""Foresee the next frame of a window that drifts over an image at a constant velocity.

    .. math:: c_i = \frac{1}{2P} \sum_p (y_{ip} - x_{ip}(t + 1))^2

    Frames are in grey, and three at a time are shown, :math:`x(t-2), x(t-1), x(t)` in place of red, green and
    blue, so that the velocity can be seen. The network is one of colour images whatever the image set. Each
    channel is standardised by the mean and deviation of grey images, so a still scene looks like a grey
    image, and a stimulus shown afterwards like a colour image: a coloured one differs between channels as a
    moving one does. Velocity and place are drawn for each image, in whole pixels, so that all four windows lie
    inside it; for images held out they are always the same.

    Parameters
    ----------
    window
        Side of the window, as a share of the image's: frames, and stimuli afterwards, have that size. With
        ``size=64,window=0.5`` it is 32 pixels.
    speed
        The most pixels that the window moves down or up, and right or left, from frame to frame.

    Examples
    --------
    >>> from brainalign.tasks.images import load_images
    >>> task = NextFrame(load_images("digits"))
    >>> task.n_outputs, task.preprocessing.size, task.preprocessing.channels
    (16, 4, 3)
    """

    key: ClassVar[str] = "next_frame"
    source: ClassVar[str] = "Lotter et al. 2017 for the idea; drifting windows are our own"

    window: float = 0.5
    speed: int = 1

    def __post_init__(self):
        super().__post_init__()
        room = self.images.size - self.window_size
        if self.window_size < 1 or room < (FRAMES - 1) * self.speed:
            raise BrainalignError(
                f"A window of {self.window_size} pixels cannot move over images of {self.images.size} pixels "
                f"for {FRAMES - 1} steps of {self.speed}; choose a smaller window or speed, or a larger size."
            )

    @property
    def window_size(self) -> int:
        """Side of the window in pixels."""
        return round(self.window * self.images.size)

    @property
    def n_outputs(self) -> int:
        """Pixels of a frame."""
        return self.window_size**2

    @property
    def preprocessing(self) -> Preprocessing:
        """Size of the window, and the same standardisation for each of the three channels."""
        whole = super().preprocessing
        return Preprocessing(self.window_size, whole.mean[:1] * 3, whole.std[:1] * 3)

    def statistics(self, pixels: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Give the mean and the standard deviation of the images in grey, for each channel."""
        mean, std = super().statistics(grey_bytes(pixels))
        return mean * self.images.channels, std * self.images.channels

    def make_batch(self, pixels: Pixels, labels: Labels, generator: torch.Generator, training: bool) -> Batch:
        """Show three frames as the channels of one image; the next, flattened, is to be answered."""
        drawn = torch.rand(2, len(pixels), 2, generator=generator)
        velocity = (drawn[0] * (2 * self.speed + 1)).long() - self.speed
        way = (FRAMES - 1) * velocity
        room = self.images.size - self.window_size - way.abs()
        start = (drawn[1] * (room + 1)).long() - way.clamp(max=0)
        frames = drifting_frames(grey_bytes(pixels), start, velocity, self.window_size)
        standardised = self.preprocessing.standardised
        # The last frame three times, as a batch of three channels; one of them is the target.
        following = standardised(frames[:, 3:].expand(-1, 3, -1, -1))[:, 0]
        return Batch(standardised(frames[:, :3]), following.flatten(1), labels)

    def cost(self, outputs: Float[Tensor, "sample pixel"], batch: Batch) -> Float[Tensor, " sample"]:
        """Give each frame's squared error."""
        assert batch.targets is not None
        return reconstruction_error(outputs, batch.targets)
