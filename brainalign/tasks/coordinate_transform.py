"""Say where a target is from the head, of where it falls on the retina and how the eyes are turned."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.errors import BrainalignError
from brainalign.networks import Preprocessing
from brainalign.tasks.image_task import options_of
from brainalign.tasks.task import Batch, Task

Positions = Float[Tensor, "sample 2"]
Activity = Float[Tensor, "sample unit"]

N_BATCHES = 100
"""Batches of an epoch, as samples are drawn without end."""
N_FIXED = 500
"""Samples that are held out, and as many of those seen."""


@dataclass(frozen=True)
class CoordinateTransform(Task):
    r"""Map retinal position and eye position to head-centred position, as parietal area 7a has to.

    .. math::
        c_i = \tfrac{1}{2} \lVert \hat y_i - g_{2w}(r_i + e_i) \rVert^2, \qquad
        g_w(p)_k = e^{-\lVert p - p_k \rVert^2 / 2 w^2}

    A target at r degrees on the retina excites a grid of Gaussian receptive fields of width w. Eye position e
    is told by four sets of units, rising or falling with the horizontal or vertical angle as sigmoids of
    several thresholds and slopes. Both are shown as one square grey image, pixels in rows, what is left over 0.
    The answer is a grid of Gaussian fields, twice as wide and as far apart, of the target's direction from the
    head.

    Parameters
    ----------
    side
        Fields along one side of a grid.
    eye_units
        Units of each of the four sets.
    reach
        Targets and eyes are drawn evenly from within ± this many degrees, horizontally and vertically.
    width
        w, in degrees.
    batch_size
        Samples of a training batch.

    Raises
    ------
    BrainalignError
        An option that is 0 or less, or a grid of one field.

    Examples
    --------
    >>> task = CoordinateTransform()
    >>> next(task.seen(3)).inputs.shape, task.n_outputs
    (torch.Size([3, 1, 10, 10]), 64)
    """

    key: ClassVar[str] = "coordinate_transform"
    variant: ClassVar[str] = ""
    source: ClassVar[str] = "Zipser & Andersen 1988, Nature 331:679"
    from_zero: ClassVar[frozenset[str]] = frozenset()

    side: int = 8
    eye_units: int = 8
    reach: float = 40.0
    width: float = 15.0
    batch_size: int = 64

    def __post_init__(self):
        for option, field in options_of(type(self)).items():
            least = 2 if option == "side" else 0
            value = getattr(self, field.name)
            if value < least or value == 0:
                raise BrainalignError(f"Option {option} of {self.key} is {value}; expected more.")

    @property
    def name(self) -> str:
        """Name with the options that are not the default."""
        changed = [
            f"{option}={getattr(self, field.name):g}"
            for option, field in options_of(type(self)).items()
            if getattr(self, field.name) != field.default
        ]
        return f"{self.key}:{','.join(changed)}" if changed else self.key

    @property
    def n_outputs(self) -> int:
        """Fields of the head-centred grid."""
        return self.side**2

    @property
    def preprocessing(self) -> Preprocessing:
        """Side of the square that holds all inputs; they are shown as they are."""
        n = self.side**2 + 4 * self.eye_units
        return Preprocessing(next(side for side in range(n) if side**2 >= n), (0.0,), (1.0,))

    @property
    def n_batches(self) -> int:
        """Batches that are called an epoch."""
        return N_BATCHES

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Give an epoch of targets and eye positions, drawn evenly."""
        own = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=generator)))
        for _ in range(N_BATCHES):
            yield self._batch(*self._drawn(self.batch_size, own))

    def held_out(self, limit: int | None = None) -> Iterator[Batch]:
        """Give samples drawn once for all."""
        yield self._fixed(1, limit)

    def seen(self, limit: int | None = None) -> Iterator[Batch]:
        """Give other samples drawn once for all, like those of training."""
        yield self._fixed(2, limit)

    def encode(self, retinal: Positions | None, eye: Positions) -> Float[Tensor, "sample 1 height width"]:
        """Give what is shown of positions in degrees; without a target, where `retinal` is None."""
        size = self.preprocessing.size
        seen = (
            eye.new_zeros(len(eye), self.side**2)
            if retinal is None
            else fields(retinal, self._grid, self.width)
        )
        sets = self._eye(eye)
        left = eye.new_zeros(len(eye), size**2 - seen.shape[1] - sets.shape[1])
        return torch.cat([seen, sets, left], 1).view(-1, 1, size, size)

    def position(self, outputs: Activity) -> Positions:
        """Give the head-centred position of outputs, in degrees: centre of mass of those above half the top."""
        strong = (outputs - outputs.amax(1, keepdim=True) / 2).clamp(min=0)
        return strong @ (2 * self._grid).to(outputs) / strong.sum(1, keepdim=True)

    def cost(self, outputs: Activity, batch: Batch) -> Float[Tensor, " sample"]:
        """Give half of each sample's squared error, summed over the outputs."""
        assert batch.targets is not None
        return 0.5 * (outputs - batch.targets).square().sum(1)

    def further(self, outputs: Activity, batch: Batch) -> dict[str, Float[Tensor, " sample"]]:
        """Give the distance between the positions that outputs and targets tell, in degrees."""
        assert batch.targets is not None
        return {"position_error": (self.position(outputs) - self.position(batch.targets)).norm(dim=1)}

    @cached_property
    def _grid(self) -> Float[Tensor, "field 2"]:
        line = torch.linspace(-self.reach, self.reach, self.side)
        return torch.cartesian_prod(line, line)

    def _eye(self, eye: Positions) -> Activity:
        """Give the four sets: thresholds over the range, slopes in turn steep, middling and shallow."""
        thresholds = torch.linspace(-self.reach, self.reach, self.eye_units).to(eye)
        slopes = (torch.tensor([0.5, 1.0, 2.0]).repeat(self.eye_units)[: self.eye_units] * self.reach / 2).to(
            eye
        )
        signed = torch.cat([eye, -eye], 1)
        return torch.sigmoid((signed[:, :, None] - thresholds) / slopes).flatten(1)

    def _drawn(self, n: int, generator: torch.Generator) -> tuple[Positions, Positions]:
        drawn = self.reach * (2 * torch.rand(n, 4, generator=generator) - 1)
        return drawn[:, :2], drawn[:, 2:]

    def _fixed(self, seed: int, limit: int | None) -> Batch:
        if limit is not None and limit < 1:
            raise BrainalignError(
                f"At most {limit} samples were asked for; ask for 1 or more, or None for all."
            )
        retinal, eye = self._drawn(N_FIXED, torch.Generator().manual_seed(seed))
        return self._batch(retinal[:limit], eye[:limit])

    def _batch(self, retinal: Positions, eye: Positions) -> Batch:
        return Batch(self.encode(retinal, eye), fields(retinal + eye, 2 * self._grid, 2 * self.width))


def fields(positions: Positions, centres: Float[Tensor, "field 2"], width: float) -> Activity:
    """Give the activity of Gaussian receptive fields, 1 at their centres.

    Examples
    --------
    >>> fields(torch.zeros(1, 2), torch.tensor([[0.0, 0.0], [0.0, 10.0]]), 10.0).round(decimals=3).tolist()
    [[1.0, 0.6069999933242798]]
    """
    return torch.exp(-torch.cdist(positions, centres.to(positions)).square() / (2 * width**2))
