"""A multilayer perceptron to train from random weights."""

from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import BrainalignError
from brainalign.networks.layered import Block, BlockNetwork, find_activation, he_normal, xavier_normal
from brainalign.networks.preprocessing import Preprocessing


class MLP(BlockNetwork):
    """Fully connected layers over the pixels, then a linear read-out.

    Weights start Gaussian with variance 2 / fan-in under rectified units (He et al. 2015, eq. 10), and
    1 / (fan-in + fan-out) under others, as in Akrout et al. (2019); biases start at zero.

    Parameters
    ----------
    image_size
        Height and width of the input, in pixels.
    n_outputs
        Units of the read-out.
    n_channels
        Three for colour images, one for grey ones.
    hidden
        Units of the hidden layers.
    activation
        ``relu``, ``tanh``, ``sigmoid`` or ``linear``.

    Examples
    --------
    >>> import torch
    >>> tuple(MLP(28, n_channels=1, hidden=(500,))(torch.zeros(2, 1, 28, 28)).shape)
    (2, 10)
    """

    preprocessing: Preprocessing

    def __init__(
        self,
        image_size: int = 32,
        n_outputs: int = 10,
        n_channels: int = 3,
        hidden: tuple[int, ...] = (256, 256),
        activation: str = "relu",
    ):
        super().__init__()
        self.preprocessing = Preprocessing(image_size)
        if not hidden:
            raise BrainalignError("A multilayer perceptron needs one hidden layer at least: hidden=256.")
        self.blocks = nn.Sequential()
        n_in = n_channels * image_size**2
        for n_out in hidden:
            self.blocks.append(Block(nn.Linear(n_in, n_out), find_activation(activation)()))
            n_in = n_out
        self.head = nn.Linear(n_in, n_outputs)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights afresh from torch's global random numbers."""
        rectified = isinstance(self.layers[0].activation, nn.ReLU)
        for layer in self.layers:
            if rectified:
                he_normal(layer.linear, layer.activation)
            else:
                xavier_normal(layer.linear, variance=1.0)

    def forward(self, x: Float[Tensor, "stimulus channel height width"]) -> Float[Tensor, "stimulus output"]:
        """Give each output's value, such as each class's logit."""
        return super().forward(x)
