"""Give back the image that is shown, or the clean one where noise was added."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.tasks.image_task import ImageTask, Labels, Pixels, check_choice
from brainalign.tasks.task import Batch

Outputs = Float[Tensor, "sample pixel"]
PerSample = Float[Tensor, " sample"]

CORRUPTIONS = ("gaussian", "masking")


def reconstruction_error(outputs: Outputs, targets: Outputs) -> PerSample:
    r"""Give :math:`\frac{1}{2P} \sum_p (y_p - x_p)^2` over the :math:`P` pixels and channels of an image.

    Examples
    --------
    >>> reconstruction_error(torch.tensor([[1.0, 3.0]]), torch.zeros(1, 2))
    tensor([2.5000])
    """
    return 0.5 * (outputs - targets).square().mean(1)


@dataclass(frozen=True)
class Autoencoding(ImageTask):
    r"""Give back the image that is shown, one output for each pixel and channel.

    .. math:: c_i = \frac{1}{2P} \sum_p (y_{ip} - x_{ip})^2

    with :math:`x` the standardised image: the mean over its :math:`P` values, not the sum, so that answering
    zero costs about 1/2 whatever the size, and a learning rate serves for all sizes.

    Examples
    --------
    >>> from brainalign.tasks.images import load_images
    >>> Autoencoding(load_images("digits")).n_outputs
    64
    """

    key: ClassVar[str] = "autoencoding"
    variant: ClassVar[str] = "plain"
    source: ClassVar[str] = "Rumelhart et al. 1986"

    @property
    def n_outputs(self) -> int:
        """Values of an image: channels × height × width."""
        return self.n_values

    @property
    def n_values(self) -> int:
        """Values of an image: channels × height × width."""
        return self.images.channels * self.images.size**2

    def make_batch(self, pixels: Pixels, labels: Labels, generator: torch.Generator, training: bool) -> Batch:
        """Show the images; the images, flattened, are to be answered."""
        inputs = self.preprocessing.standardised(pixels)
        return Batch(inputs, inputs.flatten(1), labels)

    def cost(self, outputs: Outputs, batch: Batch) -> PerSample:
        """Give each image's squared error."""
        assert batch.targets is not None
        return reconstruction_error(outputs, batch.targets)


@dataclass(frozen=True)
class DenoisingAutoencoding(Autoencoding):
    r"""Give back the clean image when shown a noisy one.

    .. math:: c_i = \frac{1}{2P} \sum_p (y_p(\tilde{x}_i) - x_{ip})^2

    Parameters
    ----------
    noise
        Standard deviation of the Gaussian noise on standardised values, or the share of pixels that are
        masked.
    corruption
        ``gaussian`` adds noise, ``masking`` sets pixels (all their channels) to zero, which is the mean of
        standardised ones. Images held out or looked at again are shown clean.
    """

    variant: ClassVar[str] = "denoising"
    source: ClassVar[str] = "Vincent et al. 2010"

    noise: float = 0.3
    corruption: str = "gaussian"

    def __post_init__(self):
        check_choice("corruption", self.corruption, CORRUPTIONS)
        super().__post_init__()

    def make_batch(self, pixels: Pixels, labels: Labels, generator: torch.Generator, training: bool) -> Batch:
        """Show noisy images; the clean ones are to be answered."""
        clean = self.preprocessing.standardised(pixels)
        inputs = clean
        if training and self.corruption == "gaussian":
            inputs = clean + self.noise * torch.randn(clean.shape, generator=generator)
        elif training:
            inputs = clean * (torch.rand(clean[:, :1].shape, generator=generator) >= self.noise)
        return Batch(inputs, clean.flatten(1), labels)
