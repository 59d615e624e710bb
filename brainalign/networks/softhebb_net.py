"""The convolutional network of SoftHebb: normalised, competing and pooled."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import BrainalignError
from brainalign.networks.layered import Layer, he_normal
from brainalign.networks.normalised_stack import NormalisedLayer, NormalisedStack
from brainalign.networks.preprocessing import Preprocessing

SMALLEST_IMAGE = 8
STARTING_NORM = 25.0
_MAX_POOL = partial(nn.MaxPool2d, 4, stride=2, padding=1)
PUBLISHED: tuple[tuple[int, float, Callable[[], nn.Module]], ...] = (
    (5, 0.7, _MAX_POOL),
    (3, 1.4, _MAX_POOL),
    (3, 1.0, partial(nn.AvgPool2d, 2)),
)
"""Width of the filters, power of the activation, and pooling, of each block."""


class Triangle(nn.Module):
    r"""What a unit is driven beyond the mean of the units at its place, to a power.

    .. math:: h_i = \max(0, a_i - \bar a)^p, \qquad \bar a = \frac{1}{n} \sum_j a_j

    Coates, Ng & Lee (2011) with p = 1; the power is Journé et al.'s (2023). Its gradient is 0 where the
    answer is 0, also for p < 1.

    Parameters
    ----------
    power
        p.

    Examples
    --------
    >>> Triangle(2.0)(torch.tensor([[1.0, 2.0, 6.0]]))
    tensor([[0., 0., 9.]])
    """

    def __init__(self, power: float = 1.0):
        super().__init__()
        self.power = power

    def forward(self, a: Float[Tensor, "sample unit ..."]) -> Float[Tensor, "sample unit ..."]:
        """Apply it."""
        beyond = a - a.mean(1, keepdim=True)
        active = beyond > 0
        # Not by a maximum: the derivative of 0 to a power below 1 is infinite, and 0 times that no number.
        return torch.where(active, beyond, 1.0).pow(self.power) * active


class SoftHebbBlock(nn.Module):
    """Batch normalisation without gains, a convolution without biases, the triangle activation, and pooling."""

    def __init__(self, n_in: int, n_out: int, kernel: int, power: float, pooling: nn.Module):
        super().__init__()
        self.normalisation = nn.Sequential(nn.BatchNorm2d(n_in, affine=False), nn.ReflectionPad2d(kernel // 2))
        self.linear = nn.Conv2d(n_in, n_out, kernel, bias=False)
        self.activation = nn.Sequential(Triangle(power), pooling)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, map, compete and pool."""
        return self.activation(self.linear(self.normalisation(x)))


class SoftHebbNet(NormalisedStack):
    """The network of Journé et al. (2023) for small images, of up to three blocks, then a linear read-out.

    Each block normalises its input by the batch, pads it by reflection, and convolves it with filters of 5 ×
    5 in the first block and 3 × 3 in the others; units answer by the triangle activation to the power 0.7,
    1.4 and 1; pooling, the maximum of 4 × 4 places and in the third block the mean of 2 × 2, halves the
    image. Filters start Gaussian with a norm of about 25, so that units compete hard from the start; the
    read-out starts with variance 1 / fan-in.

    Statistics for evaluation are those of the batches that it was shown in training: a network with random
    weights has none yet. To hold trained weights against random ones, show those the same batches (`softhebb`
    at a learning rate of 1e-30).

    Parameters
    ----------
    image_size
        Height and width of the input, in pixels: 8 or more.
    n_outputs
        Units of the read-out.
    n_channels
        Three for colour images, one for grey ones.
    channels
        Units of each block at one place of the image; the published ones by default.

    Raises
    ------
    BrainalignError
        No block or more than three, or smaller images.

    Examples
    --------
    >>> network = SoftHebbNet(channels=(8, 16, 32))
    >>> [tuple(layer.linear.weight.shape) for layer in network.layers]
    [(8, 3, 5, 5), (16, 8, 3, 3), (32, 16, 3, 3), (10, 512)]
    """

    preprocessing: Preprocessing

    def __init__(
        self,
        image_size: int = 32,
        n_outputs: int = 10,
        n_channels: int = 3,
        channels: tuple[int, ...] = (96, 384, 1536),
    ):
        super().__init__()
        self.preprocessing = Preprocessing(image_size)
        if not 1 <= len(channels) <= len(PUBLISHED):
            raise BrainalignError(
                f"softhebb_net has one to {len(PUBLISHED)} blocks, such as channels=96-384-1536; found "
                f"{len(channels)} widths."
            )
        if image_size < SMALLEST_IMAGE:
            raise BrainalignError(
                f"softhebb_net needs images of {SMALLEST_IMAGE} × {SMALLEST_IMAGE} pixels at least; found "
                f"{image_size}. Train convnet or mlp on smaller ones."
            )
        self.blocks = nn.Sequential()
        width, n_in = image_size, n_channels
        for n_out, (kernel, power, pooling) in zip(channels, PUBLISHED, strict=False):
            self.blocks.append(SoftHebbBlock(n_in, n_out, kernel, power, pooling()))
            width, n_in = width // 2, n_out
        self.head = nn.Linear(n_in * width**2, n_outputs)
        self.reset_parameters()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The blocks and the read-out."""
        stack = [
            NormalisedLayer(f"blocks.{name}.linear", block.linear, block.activation, block.normalisation)
            for name, block in self.blocks.named_children()
            if isinstance(block, SoftHebbBlock)
        ]
        return (*stack, Layer("head", self.head, nn.Identity()))

    def reset_parameters(self) -> None:
        """Draw all weights afresh from torch's global random numbers, and forget statistics."""
        for block in self.blocks.modules():
            if isinstance(block, nn.Conv2d):
                nn.init.normal_(block.weight, std=STARTING_NORM * block.weight[0].numel() ** -0.5)
            elif isinstance(block, nn.BatchNorm2d):
                block.reset_parameters()
        he_normal(self.head, nn.Identity())

    def forward(self, x: Float[Tensor, "stimulus channel height width"]) -> Float[Tensor, "stimulus output"]:
        """Give each output's value, such as each class's logit."""
        return self.head(self.blocks(x).flatten(1))
