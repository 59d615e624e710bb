"""Say to which side of a trained orientation a grating is turned."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from brainalign.errors import BrainalignError
from brainalign.tasks.classification import Classification
from brainalign.tasks.image_task import Labels, Pixels
from brainalign.tasks.task import Batch


def gabors(
    orientations: Float64[Tensor, " image"],
    phases: Float64[Tensor, " image"],
    size: int,
    frequency: float,
    width: float,
    centre: tuple[float, float] = (0.5, 0.5),
) -> Float64[Tensor, "image size size"]:
    r"""Draw gratings under a round Gaussian, between −1 and 1.

    .. math::
        g = \exp\Bigl(-\frac{x^2 + y^2}{2 w^2}\Bigr)
            \cos\bigl(2\pi f (x \sin\theta + y \cos\theta) + \varphi\bigr)

    with x to the right and y downward from the centre, in shares of the image's width.

    Parameters
    ----------
    orientations
        θ of the bars, in degrees anticlockwise from horizontal.
    phases
        φ, in radians.
    size
        Height and width in pixels.
    frequency
        f, in cycles an image.
    width
        w, standard deviation of the Gaussian, as a share of the image's width; infinite for a plain grating.
    centre
        From the left and from the top, as shares of the image.

    Examples
    --------
    >>> flat = torch.zeros(1, dtype=torch.float64)
    >>> gabors(flat, flat, 4, 1.0, math.inf, (0.125, 0.125))[0, :, 0].round().tolist()
    [1.0, 0.0, -1.0, -0.0]
    """
    place = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    x, y = place[None, :] - centre[0], place[:, None] - centre[1]
    theta = torch.deg2rad(orientations)[:, None, None]
    phase = 2 * math.pi * frequency * (x * theta.sin() + y * theta.cos()) + phases[:, None, None]
    return torch.exp(-(x.square() + y.square()) / (2 * width**2)) * phase.cos()


@dataclass(frozen=True)
class Orientation(Classification):
    r"""Say whether a grating is turned clockwise or anticlockwise from a trained orientation.

    A Gabor of a random phase stands at the trained orientation θ plus or minus the precision, half of a batch
    each, in noise:

    .. math:: \mathrm{pixel} = 127.5\,(1 + c\, g + n\, \xi), \qquad \xi \sim N(0, 1)

    It is drawn anew for each batch. The images of the set that the task is named with are not shown: they say
    of which size and colours the gratings are, how they are standardised, and how many make an epoch, so that
    a network that has learned from these images goes on seeing as it did.

    One interval (yes or no) in place of the two of Wenliang & Seitz (2018): their network sees reference and
    target, which takes a rollout of its own, and rules that go layer by layer have none. The reference is in
    the read-out instead, which therefore cannot answer about another orientation: transfer to that one is
    measured by a read-out fitted anew.

    Parameters
    ----------
    orientation
        θ of the bars, in degrees anticlockwise from horizontal, below 180.
    precision
        Turn to either side, in degrees, below 45; a small one is a fine discrimination.
    contrast
        c, up to 1.
    noise
        n, standard deviation of each pixel's noise on the scale of the contrast.
    frequency
        Cycles an image.
    width
        Standard deviation of the Gabor's Gaussian, as a share of the image's width.
    x, y
        Place of the Gabor's centre, from the left and from the top, as shares of the image.

    Raises
    ------
    BrainalignError
        An orientation, precision, contrast or place beyond these bounds, or a grating too fine for the pixels.

    Examples
    --------
    >>> from brainalign.tasks.images import load_images
    >>> task = Orientation(load_images("digits"), precision=2.0)
    >>> task.name, task.categories
    ('orientation:digits,precision=2', ('anticlockwise', 'clockwise'))
    """

    key: ClassVar[str] = "orientation"
    source: ClassVar[str] = "one interval of the task of Wenliang & Seitz 2018 (J Neurosci 38:6028)"
    from_zero: ClassVar[frozenset[str]] = Classification.from_zero | {"orientation", "noise", "x", "y"}

    orientation: float = 45.0
    precision: float = 10.0
    contrast: float = 0.5
    noise: float = 0.1
    frequency: float = 3.0
    width: float = 0.2
    x: float = 0.5
    y: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        half = self.images.size / 2
        for option, bound, within in (
            ("orientation", "below 180 degrees", self.orientation < 180),
            ("precision", "below 45 degrees", self.precision < 45),
            ("contrast", "1 at most", self.contrast <= 1),
            ("x", "1 at most", self.x <= 1),
            ("y", "1 at most", self.y <= 1),
            ("frequency", f"below {half:g} cycles, two pixels each", self.frequency < half),
        ):
            if not within:
                raise BrainalignError(
                    f"Option {option} of {self.key} is {getattr(self, option):g}; expected {bound}."
                )

    @property
    def categories(self) -> tuple[str, ...]:
        """The two sides."""
        return ("anticlockwise", "clockwise")

    def pixels(
        self, orientations: Float64[Tensor, " image"], generator: torch.Generator
    ) -> UInt8[Tensor, "image channel size size"]:
        """Draw Gabors of any orientations, each of a phase and in a noise of its own, as bytes."""
        size, n = self.images.size, len(orientations)
        phases = 2 * math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
        drawn = gabors(orientations, phases, size, self.frequency, self.width, (self.x, self.y))
        noise = torch.randn(n, size, size, generator=generator, dtype=torch.float64)
        grey = 127.5 * (1 + self.contrast * drawn + self.noise * noise)
        return grey.round().clamp(0, 255).to(torch.uint8)[:, None].expand(-1, self.images.channels, -1, -1)

    def make_batch(self, pixels: Pixels, labels: Labels, generator: torch.Generator, training: bool) -> Batch:
        """Show as many Gabors as there are images; the side is to be answered, and is the label."""
        side = torch.randperm(len(pixels), generator=generator) % 2
        turned = self.orientation + self.precision * (1 - 2 * side.double())
        return Batch(self.preprocessing.standardised(self.pixels(turned, generator)), side, side)

    def labelled(self, held_out: bool, limit: int | None = None) -> Iterator[Batch]:
        """Give Gabors, as `held_out` and `seen` do."""
        return self._made(held_out, limit)

    def _made(self, held_out: bool, limit: int | None) -> Iterator[Batch]:
        """Draw Gabors that are always the same: others for training, for choosing and for testing."""
        seed = 1 + bool(self.validation) if held_out else 0
        generator = torch.Generator().manual_seed(seed)
        for pixels, labels in self._fixed(held_out, limit):
            yield self.make_batch(pixels, labels, generator, training=False)
