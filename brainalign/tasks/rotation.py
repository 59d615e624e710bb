"""Say how far an image has been turned."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from brainalign.tasks.classification import cross_entropy
from brainalign.tasks.image_task import ImageTask, Labels, Pixels
from brainalign.tasks.task import Batch

QUARTERS = 4


def turned(
    pixels: UInt8[Tensor, "image channel side side"], quarters: Int64[Tensor, " image"]
) -> UInt8[Tensor, "image channel side side"]:
    """Turn each image anticlockwise by a number of quarters.

    Examples
    --------
    >>> image = torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8)
    >>> turned(image, torch.tensor([1])).tolist()
    [[[[2, 4], [1, 3]]]]
    """
    result = pixels.clone()
    for quarter in range(1, QUARTERS):
        chosen = quarters == quarter
        result[chosen] = pixels[chosen].rot90(quarter, (2, 3))
    return result


@dataclass(frozen=True)
class Rotation(ImageTask):
    r"""Say by how many quarters an image was turned.

    .. math:: c_i = -\log \mathrm{softmax}(y_i)_{q_i}

    Each image is turned by one number of quarters :math:`q_i`, 0 to 3, drawn for it each time; Gidaris et al.
    show all four at once, which has the same expectation. Held-out images are always turned alike. The labels
    stay those of what is in the image.

    Examples
    --------
    >>> from brainalign.tasks.images import load_images
    >>> task = Rotation(load_images("digits"))
    >>> task.name, task.n_outputs
    ('rotation:digits', 4)
    """

    key: ClassVar[str] = "rotation"
    source: ClassVar[str] = "Gidaris et al. 2018"

    @property
    def n_outputs(self) -> int:
        """One for each number of quarters."""
        return QUARTERS

    def make_batch(self, pixels: Pixels, labels: Labels, generator: torch.Generator, training: bool) -> Batch:
        """Show the images turned; the numbers of quarters are to be answered."""
        quarters = torch.randint(QUARTERS, (len(pixels),), generator=generator)
        return Batch(self.preprocessing.standardised(turned(pixels, quarters)), quarters, labels)

    def cost(self, outputs: Float[Tensor, "sample 4"], batch: Batch) -> Float[Tensor, " sample"]:
        """Give each image's cross-entropy."""
        assert batch.targets is not None
        return cross_entropy(outputs, batch.targets)

    def correct(self, outputs: Float[Tensor, "sample 4"], batch: Batch) -> Float[Tensor, " sample"]:
        """Say of each image whether the largest output is that of its rotation."""
        return (outputs.argmax(1) == batch.targets).to(outputs.dtype)
