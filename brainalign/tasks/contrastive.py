"""Tell the other view of an image from views of other images."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from brainalign.errors import BrainalignError
from brainalign.networks.untrained import seeded
from brainalign.tasks.augmentation import random_view
from brainalign.tasks.image_task import ImageTask, Labels, Pixels
from brainalign.tasks.task import Batch

PROJECTION = 64


def similarities(
    projections: Float[Tensor, "view dimension"], temperature: float
) -> Float[Tensor, "view view"]:
    """Give cosine similarities over the temperature; a view's with itself is −∞."""
    directions = F.normalize(projections, dim=1)
    return (directions @ directions.T / temperature).fill_diagonal_(-torch.inf)


def partners(n_views: int, device: torch.device | None = None) -> Tensor:
    """Give the place of each view's other view, where first views come first.

    Examples
    --------
    >>> partners(4).tolist()
    [2, 3, 0, 1]
    """
    return torch.arange(n_views, device=device).roll(n_views // 2)


def nt_xent(projections: Float[Tensor, "view dimension"], temperature: float) -> Float[Tensor, " view"]:
    r"""Give the normalised temperature-scaled cross-entropy of each view (Chen et al. 2020, eq. 1).

    .. math:: c_i = -\log \frac{\exp(s_{ij} / \tau)}{\sum_{k \ne i} \exp(s_{ik} / \tau)}

    with :math:`s` the cosine similarity and :math:`j` the other view of the image: rows come as all first
    views, then all second views.

    Examples
    --------
    >>> nt_xent(torch.ones(4, 2), 0.5).exp()
    tensor([3., 3., 3., 3.])
    """
    logits = similarities(projections, temperature)
    return F.cross_entropy(logits, partners(len(logits), logits.device), reduction="none")


@dataclass(frozen=True)
class Contrastive(ImageTask):
    r"""Tell the other view of an image from views of other images.

    .. math:: c_i = -\log \frac{\exp(s_{ij} / \tau)}{\sum_{k \ne i} \exp(s_{ik} / \tau)}

    A batch of B images is shown as 2B inputs: a random view of each, then another of each. The network's
    outputs pass through a projection, the task's own `module`, and :math:`s_{ij}` is the cosine between the
    projections of two views. Views are crops, mirrored ones (in colour) and changed in brightness, contrast
    and saturation. Images held out or looked at again are shown as such views too, always the same ones,
    because without them there is nothing to tell.

    Parameters
    ----------
    temperature
        The temperature :math:`\tau`.
    features
        Outputs of the network.
    min_area
        The least share of an image that a view shows.
    jitter
        Strength of the changes of colour; 0 for none.
    projection_seed
        Seed of the projection's weights.

    Examples
    --------
    >>> from brainalign.tasks.images import load_images
    >>> task = Contrastive(load_images("digits"), batch_size=32)
    >>> tuple(next(task.batches(torch.Generator())).inputs.shape)
    (64, 1, 8, 8)
    """

    key: ClassVar[str] = "contrastive"
    source: ClassVar[str] = "Chen et al. 2020 (SimCLR)"
    from_zero: ClassVar[frozenset[str]] = ImageTask.from_zero | {"jitter", "projection_seed"}

    temperature: float = 0.5
    features: int = 128
    min_area: float = 0.2
    jitter: float = 0.5
    projection_seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        if self.min_area > 1:
            raise BrainalignError(f"Option min_area of contrastive is {self.min_area}; a share is 1 at most.")

    @property
    def n_outputs(self) -> int:
        """Outputs that are projected."""
        return self.features

    @property
    def module(self) -> nn.Module:
        """The projection, from the network's outputs to 64 values."""
        return self._projection

    @property
    def evaluation_batch(self) -> int:
        """As in training: the cost depends on how many images there are to be told apart."""
        return self.batch_size

    def make_batch(self, pixels: Pixels, labels: Labels, generator: torch.Generator, training: bool) -> Batch:
        """Show two views of each image; labels come twice as well."""
        images = pixels.float() / 255
        views = [random_view(images, generator, self.min_area, self.jitter) for _ in range(2)]
        shown = (255 * torch.cat(views)).round_().to(torch.uint8)
        return Batch(self.preprocessing.standardised(shown), None, labels.repeat(2))

    def cost(self, outputs: Float[Tensor, "view feature"], batch: Batch) -> Float[Tensor, " view"]:
        """Give the cost of each view."""
        return nt_xent(self.module(outputs), self.temperature)

    def correct(self, outputs: Float[Tensor, "view feature"], batch: Batch) -> Float[Tensor, " view"]:
        """Say of each view whether the other view of its image is the most similar of all."""
        logits = similarities(self.module(outputs), self.temperature)
        return (logits.argmax(1) == partners(len(logits), logits.device)).to(outputs.dtype)

    @cached_property
    def _projection(self) -> nn.Module:
        with seeded(self.projection_seed):
            return nn.Sequential(
                nn.Linear(self.features, self.features), nn.ReLU(), nn.Linear(self.features, PROJECTION)
            )
