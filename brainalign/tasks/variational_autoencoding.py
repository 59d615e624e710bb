"""Give back the image from a sample of a Gaussian code."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.networks.untrained import seeded
from brainalign.tasks.autoencoding import Autoencoding
from brainalign.tasks.image_task import Labels, Pixels
from brainalign.tasks.task import Batch


def kl_to_standard_normal(
    mean: Float[Tensor, "sample latent"], log_variance: Float[Tensor, "sample latent"]
) -> Float[Tensor, " sample"]:
    r"""Give :math:`\frac{1}{2} \sum_k \mu_k^2 + \sigma_k^2 - 1 - \log \sigma_k^2`.

    Kingma & Welling 2014, appendix B.

    Examples
    --------
    >>> kl_to_standard_normal(torch.tensor([[2.0]]), torch.zeros(1, 1))
    tensor([2.])
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


@dataclass(frozen=True)
class NoisyBatch(Batch):
    """Images, and the noise by which their codes are sampled, shape (sample, latent)."""

    noise: Float[Tensor, "sample latent"] | None = None


@dataclass(frozen=True)
class VariationalAutoencoding(Autoencoding):
    r"""Give back the image from a sample of a Gaussian code.

    .. math:: c_i = \frac{1}{P} \Bigl( \tfrac{1}{2} \|d(z_i) - x_i\|^2
        + \mathrm{KL}\bigl(N(\mu_i, \sigma_i^2) \,\|\, N(0, 1)\bigr) \Bigr),
        \qquad z_i = \mu_i + \sigma_i \epsilon_i

    The network answers with the means :math:`\mu`, then the log variances :math:`\log \sigma^2`. The decoder
    :math:`d` is the task's own `module`. The cost is the negative evidence bound under a Gaussian likelihood of
    variance 1, without its constant, over the :math:`P` values of an image: on the scale of the other
    variants. The noise :math:`\epsilon` is part of the batch, and zero for images held out or looked at again.

    Parameters
    ----------
    latents
        Units of the code.
    decoder
        Hidden units of the decoder; 0 for a linear one.
    decoder_seed
        Seed of the decoder's weights.

    Examples
    --------
    >>> from brainalign.tasks.images import load_images
    >>> VariationalAutoencoding(load_images("digits"), latents=8).n_outputs
    16
    """

    variant: ClassVar[str] = "variational"
    source: ClassVar[str] = "Kingma & Welling 2014"
    from_zero: ClassVar[frozenset[str]] = Autoencoding.from_zero | {"decoder", "decoder_seed"}

    latents: int = 32
    decoder: int = 256
    decoder_seed: int = 0

    @property
    def n_outputs(self) -> int:
        """A mean and a log variance for each latent unit."""
        return 2 * self.latents

    @property
    def module(self) -> nn.Module:
        """The decoder, from latent units to the values of an image."""
        return self._decoder

    def make_batch(self, pixels: Pixels, labels: Labels, generator: torch.Generator, training: bool) -> Batch:
        """Show the images, with the noise for their codes; the images, flattened, are to be answered."""
        inputs = self.preprocessing.standardised(pixels)
        noise = torch.zeros(len(inputs), self.latents)
        if training:
            noise.normal_(generator=generator)
        return NoisyBatch(inputs, inputs.flatten(1), labels, noise=noise)

    def cost(self, outputs: Float[Tensor, "sample output"], batch: Batch) -> Float[Tensor, " sample"]:
        """Give each image's negative evidence bound, over the number of its values.

        Raises
        ------
        NeedsError
            A batch without noise, which is not from this task.
        """
        if not isinstance(batch, NoisyBatch) or batch.noise is None:
            raise NeedsError(f"The cost of {self.name} needs the noise of the task's own batches.")
        mean, log_variance = outputs.split(self.latents, dim=1)
        code = mean + (0.5 * log_variance).exp() * batch.noise
        bound = kl_to_standard_normal(mean, log_variance) / self.n_values
        return bound + super().cost(self.module(code), batch)

    @cached_property
    def _decoder(self) -> nn.Module:
        with seeded(self.decoder_seed):
            if self.decoder == 0:
                return nn.Linear(self.latents, self.n_values)
            return nn.Sequential(
                nn.Linear(self.latents, self.decoder), nn.ReLU(), nn.Linear(self.decoder, self.n_values)
            )
