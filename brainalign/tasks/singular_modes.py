"""Regression whose input-output correlation has known singular values."""

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.networks import Preprocessing
from brainalign.tasks.image_task import options_of
from brainalign.tasks.task import Batch, Task

Targets = Float[Tensor, "sample output"]
Inputs = Float[Tensor, "sample input"]


@dataclass(frozen=True)
class LinearRegression(Task):
    r"""Answer targets by a linear map of inputs that are white, all samples in one batch.

    .. math::
        c_i = \tfrac{1}{2} \lVert \hat y_i - y_i \rVert^2, \qquad
        \Sigma_{xx} = \tfrac{1}{N} \sum_i x_i x_i^\top = I, \qquad
        \Sigma_{yx} = \tfrac{1}{N} \sum_i y_i x_i^\top = U S V^\top

    Training lowers the mean of c over the N samples, so that plain gradient descent at a small rate
    :math:`\eta` is :math:`\tau \dot W = \Sigma_{yx} - W` for one layer, with :math:`\tau = 1 / \eta` steps, and
    for several the theory of deep linear networks. Inputs come as grey images, pixels in rows. There are no
    other samples: what is held out is what is trained on.
    """

    key: ClassVar[str] = "singular_modes"
    variant: ClassVar[str]
    source: ClassVar[str]
    from_zero: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def dataset(self) -> tuple[Inputs, Targets]:
        """Give inputs and targets, in float64."""

    @property
    def name(self) -> str:
        """Name with the options that are not the default."""
        changed = [f"variant={self.variant}"]
        for option, field in options_of(type(self)).items():
            if getattr(self, field.name) != field.default:
                changed.append(f"{option}={getattr(self, field.name)}")
        return f"{self.key}:{','.join(changed)}"

    @property
    def n_outputs(self) -> int:
        """Values of a target."""
        return self._samples[1].shape[1]

    @property
    def preprocessing(self) -> Preprocessing:
        """Side of the inputs as images; they are shown as they are."""
        return Preprocessing(self._samples[0].shape[-1], (0.0,), (1.0,))

    @property
    def n_batches(self) -> int:
        """One: all samples."""
        return 1

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Give all samples; nothing is drawn."""
        return self.seen()

    def held_out(self, limit: int | None = None) -> Iterator[Batch]:
        """Give the samples that are trained on, for there are no others."""
        return self.seen(limit)

    def seen(self, limit: int | None = None) -> Iterator[Batch]:
        """Give the samples, or the first of them."""
        if limit is not None and limit < 1:
            raise BrainalignError(
                f"At most {limit} samples were asked for; ask for 1 or more, or None for all."
            )
        inputs, targets = self._samples
        yield Batch(inputs[:limit], targets[:limit])

    def cost(self, outputs: Targets, batch: Batch) -> Float[Tensor, " sample"]:
        """Give half of each sample's squared error, summed over the outputs."""
        assert batch.targets is not None
        return 0.5 * (outputs - batch.targets).square().sum(1)

    @cached_property
    def _samples(self) -> tuple[Tensor, Tensor]:
        inputs, targets = self.dataset()
        side = round(inputs.shape[1] ** 0.5)
        return inputs.float().view(-1, 1, side, side), targets.float()


@dataclass(frozen=True)
class SingularModes(LinearRegression):
    r"""Answer as a linear teacher does whose singular values are given.

    .. math:: y_i = U\, \mathrm{diag}(s)\, V^\top x_i

    with U and V orthonormal, drawn once. The inputs are the columns of an orthogonal matrix, each with
    both signs, times the root of their length: their mean is 0, so that biases that start at 0 stay there under
    gradient descent.

    Parameters
    ----------
    values
        The singular values s, descending: ``4-3-2-1``.
    size
        Side of the inputs as images: size² values.
    outputs
        Values of a target.
    teacher_seed
        Seed of the teacher and of the inputs.

    Raises
    ------
    UnknownNameError
        Values that are no positive, descending numbers.
    BrainalignError
        More of them than there are inputs or outputs.

    Examples
    --------
    >>> task = SingularModes(values="3-1", size=2, outputs=5)
    >>> batch = next(task.seen())
    >>> correlation = batch.targets.T @ batch.inputs.flatten(1) / len(batch)
    >>> [round(float(s), 4) for s in torch.linalg.svdvals(correlation)[:2]]
    [3.0, 1.0]
    """

    variant: ClassVar[str] = "teacher"
    source: ClassVar[str] = "Saxe, McClelland & Ganguli 2014, ICLR (arXiv:1312.6120)"
    from_zero: ClassVar[frozenset[str]] = frozenset({"teacher_seed"})

    values: str = "4-3-2-1"
    size: int = 4
    outputs: int = 10
    teacher_seed: int = 0

    def __post_init__(self):
        given = _numbers(self.values)
        if not (given and math.isfinite(sum(given)) and min(given) > 0) or given != sorted(given)[::-1]:
            raise UnknownNameError(
                f"Option values of {self.key} is {self.values!r}; expected positive numbers, descending, such "
                "as 4-3-2-1."
            )
        if self.size < 1 or len(given) > min(self.size**2, self.outputs):
            raise BrainalignError(
                f"{len(given)} singular values need as many inputs and outputs at least; there are "
                f"size² = {self.size**2} and outputs={self.outputs}."
            )
        object.__setattr__(self, "values", "-".join(f"{value:g}" for value in given))

    def dataset(self) -> tuple[Inputs, Targets]:
        """Draw the teacher and the inputs."""
        s = torch.tensor(_numbers(self.values), dtype=torch.float64)
        generator = torch.Generator().manual_seed(self.teacher_seed)
        n = self.size**2
        u, v, x = (_orthogonal(width, generator) for width in (self.outputs, n, n))
        inputs = n**0.5 * torch.cat([x, -x])
        return inputs, inputs @ v[:, : len(s)] @ (s[:, None] * u[:, : len(s)].T)


@dataclass(frozen=True)
class SemanticHierarchy(LinearRegression):
    r"""Name the features of items that are the leaves of a tree.

    Each node of the tree, root and leaves among them, is a feature that all items under it have: 1, else 0.
    Item i is shown as :math:`\sqrt{N} e_i`; pixels left over in the square are always 0. One mode (k = 0) is
    common to all items; :math:`b^k - b^{k-1}` modes tell the branches at level k apart, from the broadest,
    k = 1, to single items, k = D. Their singular values are

    .. math:: s_k = \sqrt{\tfrac{1}{N} \sum_{l=k}^{D} b^{D-l}}

    Parameters
    ----------
    branching
        Branches of a node, b.
    depth
        Levels under the root, D; there are N = b^D items.

    Raises
    ------
    BrainalignError
        No branches or levels, or more than 1024 items.

    Examples
    --------
    >>> task = SemanticHierarchy(branching=2, depth=3)
    >>> len(next(task.seen())), task.n_outputs
    (8, 15)
    """

    variant: ClassVar[str] = "hierarchy"
    source: ClassVar[str] = "Saxe, McClelland & Ganguli 2019, PNAS 116:11537"

    branching: int = 2
    depth: int = 3

    def __post_init__(self):
        if self.branching < 2 or self.depth < 1 or self.branching**self.depth > 1024:
            raise BrainalignError(
                f"A tree of branching={self.branching} and depth={self.depth} cannot be used; give 2 branches "
                "and 1 level or more, and 1024 items at most."
            )

    def dataset(self) -> tuple[Inputs, Targets]:
        """List items, and the features they have."""
        n = self.branching**self.depth
        side = next(side for side in range(n + 1) if side**2 >= n)
        inputs = n**0.5 * torch.eye(n, side**2, dtype=torch.float64)
        ones = torch.eye(n, dtype=torch.float64)
        levels = [n // self.branching**level for level in range(self.depth + 1)]
        return inputs, torch.cat([ones.view(n, -1, width).sum(2) for width in levels], dim=1)


def _numbers(text: str) -> list[float]:
    """Read numbers with hyphens between; none where one is no number."""
    try:
        return [float(part) for part in text.replace("_", "-").split("-")]
    except ValueError:
        return []


def _orthogonal(n: int, generator: torch.Generator) -> Float[Tensor, "n n"]:
    return torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q
