"""A small convolutional network to train from random weights."""

import torch
from jaxtyping import Float
from torch import nn

from brainalign.networks.preprocessing import Preprocessing


class Block(nn.Module):
    """A linear map followed by a pointwise activation.

    Parameters
    ----------
    linear
        The linear map: ``nn.Linear`` or ``nn.Conv2d``.
    activation
        The activation.
    """

    def __init__(self, linear: nn.Linear | nn.Conv2d, activation: nn.Module):
        super().__init__()
        self.linear = linear
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the map, then the activation."""
        return self.activation(self.linear(x))


class ConvNet(nn.Module):
    """Strided 3 × 3 convolutions with rectified units, then a linear read-out.

    Each block halves the image's width. There is no pooling and no normalisation, so every layer is a
    linear map and a pointwise activation, which any learning rule can be stated for. Weights start
    Gaussian with variance 2 / fan-in in the blocks (He et al. 2015, eq. 10) and 1 / fan-in in the
    read-out; biases start at zero.

    Parameters
    ----------
    image_size
        Height and width of the input, in pixels.
    n_classes
        Units of the read-out.
    channels
        Units of each block at one place of the image.

    Examples
    --------
    >>> tuple(ConvNet()(torch.zeros(2, 3, 32, 32)).shape)
    (2, 10)
    """

    preprocessing: Preprocessing

    def __init__(
        self,
        image_size: int = 32,
        n_classes: int = 10,
        channels: tuple[int, ...] = (32, 64, 128, 256),
    ):
        super().__init__()
        # First of all, since it refuses a size that cannot be.
        self.preprocessing = Preprocessing(image_size)
        self.blocks = nn.Sequential()
        width, n_in = image_size, 3
        for n_out in channels:
            self.blocks.append(Block(nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), nn.ReLU()))
            width, n_in = (width + 1) // 2, n_out
        self.head = nn.Linear(n_in * width**2, n_classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights afresh from torch's global random numbers."""
        for block in self.blocks:
            nn.init.kaiming_normal_(block.get_parameter("linear.weight"), nonlinearity="relu")
            nn.init.zeros_(block.get_parameter("linear.bias"))
        nn.init.kaiming_normal_(self.head.weight, nonlinearity="linear")
        nn.init.zeros_(self.head.bias)

    def forward(
        self, images: Float[torch.Tensor, "stimulus 3 height width"]
    ) -> Float[torch.Tensor, "stimulus class"]:
        """Give each class's logit."""
        return self.head(self.blocks(images).flatten(1))
