"""A small convolutional network to train from random weights."""

from jaxtyping import Float
from torch import Tensor, nn

from brainalign.networks.layered import Block, BlockNetwork, find_activation, he_normal
from brainalign.networks.preprocessing import Preprocessing


class ConvNet(BlockNetwork):
    """Strided 3 × 3 convolutions with rectified units, then a linear read-out.

    Each block halves the image's width. There is no pooling and no normalisation, so every layer is a
    linear map and a pointwise activation, which any learning rule can be stated for. Weights start
    Gaussian with variance 2 / fan-in in the blocks (He et al. 2015, eq. 10) and 1 / fan-in in the
    read-out; biases start at zero.

    Parameters
    ----------
    image_size
        Height and width of the input, in pixels.
    n_outputs
        Units of the read-out.
    n_channels
        Three for colour images, one for grey ones.
    channels
        Units of each block at one place of the image.
    activation
        ``relu``, ``tanh``, ``sigmoid`` or ``linear``.

    Examples
    --------
    >>> import torch
    >>> tuple(ConvNet()(torch.zeros(2, 3, 32, 32)).shape)
    (2, 10)
    """

    preprocessing: Preprocessing

    def __init__(
        self,
        image_size: int = 32,
        n_outputs: int = 10,
        n_channels: int = 3,
        channels: tuple[int, ...] = (32, 64, 128, 256),
        activation: str = "relu",
    ):
        super().__init__()
        # First of all, since it refuses a size that cannot be.
        self.preprocessing = Preprocessing(image_size)
        self.blocks = nn.Sequential()
        width, n_in = image_size, n_channels
        for n_out in channels:
            conv = nn.Conv2d(n_in, n_out, 3, stride=2, padding=1)
            self.blocks.append(Block(conv, find_activation(activation)()))
            width, n_in = (width + 1) // 2, n_out
        self.head = nn.Linear(n_in * width**2, n_outputs)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights afresh from torch's global random numbers."""
        for layer in self.layers:
            he_normal(layer.linear, layer.activation)

    def forward(self, x: Float[Tensor, "stimulus channel height width"]) -> Float[Tensor, "stimulus output"]:
        """Give each output's value, such as each class's logit."""
        return super().forward(x)
