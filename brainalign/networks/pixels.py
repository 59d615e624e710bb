"""The control that any network must beat: the pixels themselves."""

import torch
from jaxtyping import Float
from torch import nn

from brainalign.networks.preprocessing import Preprocessing


class Pixels(nn.Module):
    """Red, green and blue of every pixel, between 0 and 1, as one layer named ``pixels``.

    Examples
    --------
    >>> tuple(Pixels(image_size=32)(torch.zeros(2, 3, 32, 32)).shape)
    (2, 3072)
    """

    preprocessing: Preprocessing

    def __init__(self, image_size: int = 32):
        super().__init__()
        self.pixels = nn.Flatten()
        self.preprocessing = Preprocessing(image_size, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

    def forward(
        self, images: Float[torch.Tensor, "stimulus 3 height width"]
    ) -> Float[torch.Tensor, "stimulus unit"]:
        """Flatten the images."""
        return self.pixels(images)
