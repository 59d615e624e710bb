"""A small residual network to train from random weights."""

from jaxtyping import Float
from torch import Tensor, nn

from brainalign.networks.layered import he_normal
from brainalign.networks.preprocessing import Preprocessing


class ResidualBlock(nn.Module):
    """Two normalised 3 × 3 convolutions beside a path that skips them.

    Where the block halves the image or widens, the skipping path is a normalised 1 × 1 convolution.
    """

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.skip = nn.Sequential()
        if stride != 1 or n_in != n_out:
            self.skip.append(nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False))
            self.skip.append(nn.BatchNorm2d(n_out))
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Give relu(F(x) + skip(x))."""
        answer = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(answer + self.skip(x))


class ResNet20(nn.Module):
    """The residual network of 20 layers for small images (He et al. 2016, section 4.2).

    A convolution, three stages of three blocks with 16, 32 and 64 units a place, the mean over places, and a
    linear read-out: 0.27 million weights.

    Parameters
    ----------
    image_size
        Height and width of the input, in pixels.
    n_outputs
        Units of the read-out.
    n_channels
        Three for colour images, one for grey ones.

    Examples
    --------
    >>> sum(parameter.numel() for parameter in ResNet20().parameters())
    272474
    """

    preprocessing: Preprocessing

    def __init__(self, image_size: int = 32, n_outputs: int = 10, n_channels: int = 3):
        super().__init__()
        self.preprocessing = Preprocessing(image_size)
        self.stem = nn.Sequential(
            nn.Conv2d(n_channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.stages = nn.Sequential()
        n_in = 16
        for n_out in (16, 32, 64):
            for place in range(3):
                stride = 2 if place == 0 and n_out != n_in else 1
                self.stages.append(ResidualBlock(n_in, n_out, stride))
                n_in = n_out
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(n_in, n_outputs)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights afresh from torch's global random numbers."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                he_normal(module, nn.ReLU())
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
        he_normal(self.head, nn.Identity())

    def forward(self, x: Float[Tensor, "stimulus channel height width"]) -> Float[Tensor, "stimulus output"]:
        """Give each output's value, such as each class's logit."""
        return self.head(self.pool(self.stages(self.stem(x))).flatten(1))
