"""Weights that change over training."""

from bisect import bisect_right
from dataclasses import dataclass

from brainalign.errors import BrainalignError


@dataclass(frozen=True)
class Schedule:
    """A weight that is given at some steps and linear between them; constant before and after.

    Parameters
    ----------
    points
        Pairs of a step and a weight, the steps ascending.

    Examples
    --------
    >>> Schedule(((0, 1.0), (100, 0.0)))(25)
    0.75
    >>> Schedule()(7)
    1.0
    """

    points: tuple[tuple[int, float], ...] = ((0, 1.0),)

    def __post_init__(self):
        steps = [step for step, _ in self.points]
        if not steps or steps != sorted(set(steps)) or steps[0] < 0:
            raise BrainalignError(
                f"The steps of a schedule ascend from 0 or later; found {', '.join(map(str, steps)) or 'none'}."
            )

        odd = [weight for _, weight in self.points if not 0 <= weight < float("inf")]
        if odd:
            raise BrainalignError(f"The weights of a schedule are numbers of 0 or above; found {odd[0]}.")

    def __call__(self, step: int) -> float:
        """Give the weight at a step."""
        place = bisect_right(self.points, (step, float("inf")))
        if place == 0 or place == len(self.points):
            return float(self.points[min(place, len(self.points) - 1)][1])
        (before, low), (after, high) = self.points[place - 1], self.points[place]
        return low + (high - low) * (step - before) / (after - before)

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """Read ``WEIGHT``, or ``STEP:WEIGHT`` several times with ``/`` between.

        Examples
        --------
        >>> Schedule.parse("0:1/500:0.1").points
        ((0, 1.0), (500, 0.1))
        """
        try:
            pairs = [part.rpartition(":") for part in text.split("/")]
            points = tuple((int(step or 0), float(weight)) for step, _, weight in pairs)
        except ValueError:
            raise BrainalignError(
                f"{text!r} is no schedule; write a weight, or STEP:WEIGHT/STEP:WEIGHT, such as 0:1/500:0.1."
            ) from None
        return cls(points)

    def __str__(self) -> str:
        return "/".join(f"{step}:{weight:g}" for step, weight in self.points)
