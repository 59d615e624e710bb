"""LeNet-5 with rectified units and max pooling."""

from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import BrainalignError
from brainalign.networks.layered import he_normal
from brainalign.networks.preprocessing import Preprocessing

SMALLEST_IMAGE = 16


class LeNet(nn.Module):
    """Two 5 × 5 convolutions, each with max pooling, two full layers, and a linear read-out.

    LeCun et al. (1998) with rectified units and max pooling in place of tanh and averages. Grey images of 28
    pixels are padded to the paper's 32. Colour images get 32, 64 and 128 units where grey ones get 6, 16 and
    120, as the networks of that name that feedback rules have been measured on.

    Parameters
    ----------
    image_size
        Height and width of the input, in pixels: 16 or more.
    n_outputs
        Units of the read-out.
    n_channels
        Three for colour images, one for grey ones.

    Examples
    --------
    >>> import torch
    >>> tuple(LeNet(28, n_channels=1)(torch.zeros(2, 1, 28, 28)).shape)
    (2, 10)
    """

    preprocessing: Preprocessing

    def __init__(self, image_size: int = 32, n_outputs: int = 10, n_channels: int = 3):
        super().__init__()
        self.preprocessing = Preprocessing(image_size)
        if image_size < SMALLEST_IMAGE:
            raise BrainalignError(
                f"LeNet needs images of {SMALLEST_IMAGE} × {SMALLEST_IMAGE} pixels at least; found "
                f"{image_size}. Train convnet or mlp on smaller ones."
            )
        first, second, third = (32, 64, 128) if n_channels == 3 else (6, 16, 120)
        padding = 2 if image_size == 28 else 0
        self.conv1 = nn.Sequential(nn.Conv2d(n_channels, first, 5, padding=padding), nn.ReLU(), nn.MaxPool2d(2))
        self.conv2 = nn.Sequential(nn.Conv2d(first, second, 5), nn.ReLU(), nn.MaxPool2d(2))
        width = ((image_size + 2 * padding - 4) // 2 - 4) // 2
        self.fc1 = nn.Sequential(nn.Linear(second * width**2, third), nn.ReLU())
        self.fc2 = nn.Sequential(nn.Linear(third, 84), nn.ReLU())
        self.head = nn.Linear(84, n_outputs)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights afresh from torch's global random numbers."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                he_normal(module, nn.Identity() if module is self.head else nn.ReLU())

    def forward(self, x: Float[Tensor, "stimulus channel height width"]) -> Float[Tensor, "stimulus output"]:
        """Give each output's value, such as each class's logit."""
        return self.head(self.fc2(self.fc1(self.conv2(self.conv1(x)).flatten(1))))
