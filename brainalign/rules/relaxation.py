"""Activities that settle: iteration to a fixed point or to a minimum, and how far from it they stay."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.errors import DivergedError

RESIDUAL = "residual"
"""Name in a rule's state of how far from settled the last batch was left."""

Activities = list[Tensor]
Step = Callable[[Activities], tuple[Activities, Tensor]]
"""Activities → those of the next step, and the residual of the activities that were given."""


class ConvergenceError(DivergedError):
    """Activities did not settle, so that they are no equilibrium."""


@dataclass(frozen=True)
class Relaxed:
    """Where activities came to.

    Parameters
    ----------
    activities
        By layer, all samples of a batch.
    residual
        How far from settled: the largest over units and samples, where it was last measured.
    steps
        Steps that were taken.
    """

    activities: Activities
    residual: Float[Tensor, ""]
    steps: int


def relax(step: Step, activities: Activities, tolerance: float, limit: int, what: str) -> Relaxed:
    """Repeat a step until the residual is within tolerance.

    Parameters
    ----------
    step
        One step of the whole batch.
    activities
        Where to start.
    tolerance
        Residual at which activities count as settled; 0 takes `limit` steps, and reports what is left.
    limit
        Steps at most.
    what
        What settles, for the error.

    Raises
    ------
    ConvergenceError
        The residual is above a tolerance other than 0 after `limit` steps, or is no number.

    Examples
    --------
    >>> def halve(x):
    ...     return [x[0] / 2], (x[0] / 2).abs().max()
    >>> relaxed = relax(halve, [torch.ones(1)], tolerance=1e-3, limit=50, what="A half")
    >>> relaxed.steps, float(relaxed.residual) <= 1e-3
    (9, True)
    """
    residual = activities[-1].new_full((), float("inf"))
    for n in range(limit):
        following, residual = step(activities)
        if tolerance and residual <= tolerance:
            return Relaxed(activities, residual, n)
        if tolerance and not torch.isfinite(residual):
            break
        activities = following
    if tolerance:
        raise ConvergenceError(
            f"{what} did not settle in {limit} steps: the residual is {residual.item():.2g}, above the "
            f"tolerance of {tolerance:g}. Raise the rule's limit or its tolerance, lower the learning rate so "
            "that weights stay small, or take a bounded activation such as tanh."
        )
    return Relaxed(activities, residual, limit)


def change(before: Sequence[Tensor], after: Sequence[Tensor]) -> Float[Tensor, ""]:
    """Give the largest change of a unit, over 1 + its size, the residual of a fixed point.

    Examples
    --------
    >>> change([torch.tensor([1.0, 3.0])], [torch.tensor([1.0, 5.0])])
    tensor(0.5000)
    """
    changes = [(b - a).abs_().div_(a.abs().add_(1)).amax() for a, b in zip(before, after, strict=True)]
    return torch.stack(changes).amax()


def descent(gradient: Callable[[Activities], Activities], rate: float) -> Step:
    r"""Give the step of plain gradient descent, x ← x − rate · ∂F/∂x; the residual is the largest slope.

    Examples
    --------
    >>> step = descent(lambda x: [2 * x[0]], rate=0.25)
    >>> step([torch.ones(1, 1)])
    ([tensor([[0.5000]])], tensor(2.))
    """

    def step(activities: Activities) -> tuple[Activities, Tensor]:
        slopes = gradient(activities)
        following = [torch.sub(x, slope, alpha=rate) for x, slope in zip(activities, slopes, strict=True)]
        return following, _largest(slopes)

    return step


def secant_descent(gradient: Callable[[Activities], Activities], rate: float) -> Step:
    r"""Give a step of gradient descent whose rate each sample takes from how its slope has changed.

    .. math::
        x \leftarrow x - \lambda g, \qquad
        \lambda = \frac{\langle \Delta x, \Delta g \rangle}{\langle \Delta g, \Delta g \rangle}

    the shorter step of Barzilai & Borwein (1988), which settles in far fewer steps than one rate for all. Each
    step goes on from where the last one led.

    Parameters
    ----------
    gradient
        Activities → slopes of the energy, each sample's by itself.
    rate
        Of the first step, and where the energy curves down.

    Examples
    --------
    >>> step = secant_descent(lambda x: [4 * x[0]], rate=0.125)
    >>> x, _ = step([torch.ones(1, 1)])
    >>> step(x)[0]
    [tensor([[0.]])]
    """
    last: list[Activities] = []

    def step(activities: Activities) -> tuple[Activities, Tensor]:
        slopes = gradient(activities)
        rates = slopes[0].new_full((len(slopes[0]),), rate)
        if last:
            before, (rates_before,) = last
            turned = _less(slopes, before)
            # What has moved is the last step, −λ g.
            along = -rates_before * _dot(before, turned)
            rates = torch.where(along > 0, along / _dot(turned, turned), rates)
        last[:] = slopes, [rates]
        following = [
            torch.addcmul(x, rates.view(-1, *[1] * (x.ndim - 1)), slope, value=-1)
            for x, slope in zip(activities, slopes, strict=True)
        ]
        return following, _largest(slopes)

    return step


def _largest(tensors: Activities) -> Float[Tensor, ""]:
    return torch.stack([each.abs().amax() for each in tensors]).amax()


def _less(a: Activities, b: Activities) -> Activities:
    return [x - y for x, y in zip(a, b, strict=True)]


def _dot(a: Activities, b: Activities) -> Float[Tensor, " sample"]:
    return torch.stack([(x * y).flatten(1).sum(1) for x, y in zip(a, b, strict=True)]).sum(0)
