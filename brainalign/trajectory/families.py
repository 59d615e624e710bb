"""The shapes that a learning curve may have: without stages, and with."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from brainalign.trajectory.clocks import CLOCKS, clock

TENTHS = 2 * np.log(9.0)
"""Width of a logistic from a tenth to nine tenths of its rise, in units of its scale."""


@dataclass(frozen=True)
class Family:
    """Curves c + Σ g_i f_i(t): a constant, and terms whose shape has some parameters.

    Parameters
    ----------
    name
        Such as ``exponential in log steps``.
    time
        Each checkpoint's time on the family's clock, in [0, 1].
    term
        From times and the shape parameters of one term to its values.
    low, high
        Bounds of the parameters of one term.
    n_terms
        Number of terms.
    least_width
        How far a term's second parameter must lie beyond its first; none for terms without onset and end.
    """

    name: str
    time: Float[np.ndarray, " checkpoint"]
    term: Callable[..., np.ndarray]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    n_terms: int = 1
    least_width: float | None = None

    @property
    def n_parameters(self) -> int:
        """Number of shapes and gains, the constant, and the noise's variance and autocorrelation."""
        return self.n_terms * (len(self.low) + 1) + 3

    def allows(self, shape: Float[np.ndarray, " parameter"]) -> bool:
        """Tell whether shape parameters are within their bounds."""
        size = len(self.low)
        values = shape.tolist()  # plain numbers: this is asked at every step of a search
        if any(not self.low[i % size] <= value <= self.high[i % size] for i, value in enumerate(values)):
            return False
        if self.least_width is None:
            return True
        before = None
        for onset, end in sorted(zip(values[::2], values[1::2], strict=True), key=sum):
            if end - onset < self.least_width or (before and not _apart(*before, onset, end)):
                return False
            before = onset, end
        return True

    def one_term(self, shape: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " checkpoint"]:
        """Give a term by its parameters."""
        return self.term(self.time, *shape)

    def basis(self, shape: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, "checkpoint term"]:
        """Give the constant and each term, by the terms' parameters one after another."""
        terms = shape.reshape(self.n_terms, len(self.low))
        return np.column_stack([np.ones_like(self.time), *(self.one_term(each) for each in terms)])


def null_families(steps: Float[np.ndarray, " checkpoint"]) -> list[Family]:
    """Give the families without a stage: constant, and line, exponential, power law on either clock."""
    families = [Family("constant", clock(steps, CLOCKS[0]), _line, n_terms=0)]
    for kind in CLOCKS:
        time = clock(steps, kind)
        families += [
            Family(f"line in {kind}", time, _line),
            Family(f"exponential in {kind}", time, _exponential, (np.arcsinh(-30.0),), (np.arcsinh(1e4),)),
            Family(
                f"power law in {kind}",
                time,
                _power_law,
                (np.log(0.05), np.log(1e-4)),
                (np.log(20.0), np.log(10.0)),
            ),
        ]
    return families


def stages_family(steps: Float[np.ndarray, " checkpoint"], kind: str, n_stages: int) -> Family:
    """Give a sum of logistic stages on a clock, from none on.

    A term's parameters are the times of a tenth and of nine tenths of its rise: its onset and its end. Both
    lie within the curve, or it could not be told from a curve that merely levels off. No stage is narrower
    than half the mean distance between checkpoints, below which they do not show its width; and stages
    overlap by no more than halves, beyond which they are one.
    """
    time = clock(steps, kind)
    name = f"{n_stages} stage{'s' * (n_stages != 1)} in {kind}"
    return Family(name, time, _logistic, (0.0, 0.0), (1.0, 1.0), n_stages, 0.5 / (len(time) - 1))


def _apart(onset: float, end: float, next_onset: float, next_end: float) -> bool:
    return next_onset >= (onset + end) / 2 and end <= (next_onset + next_end) / 2


def _line(time: np.ndarray) -> np.ndarray:
    return time


def _exponential(time: np.ndarray, arcsinh_rate: float) -> np.ndarray:
    """Decay where the rate is positive, growth where it is negative; never above 1."""
    rate = np.sinh(arcsinh_rate)
    return np.exp(-rate * (time if rate > 0 else time - 1))


def _power_law(time: np.ndarray, log_exponent: float, log_shift: float) -> np.ndarray:
    shift = np.exp(log_shift)
    return (1 + time / shift) ** -np.exp(log_exponent)


def _logistic(time: np.ndarray, onset: float, end: float) -> np.ndarray:
    scale = (end - onset) / TENTHS
    return expit((time - (onset + end) / 2) / scale)
