"""What a benchmark says: inequalities that hold or do not, and curves of time against size."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Row:
    """One inequality between measured figures.

    Parameters
    ----------
    id
        Begins with the script's name.
    claim
        What was measured, at what size, against what.
    ours_s, peer_s, floor_s
        Seconds that brainalign takes, that the peer takes, and that no way of doing it could avoid.
    peak_mb
        Most memory that brainalign held while it worked, above what it held before, in 10⁶ bytes.
    ratio
        Peer / ours under ``>=``; ours / floor, or the memory, under ``<=``.
    relation
        ``>=`` or ``<=``.
    target
        What the ratio is held against.
    """

    id: str
    claim: str
    ours_s: float | None
    peer_s: float | None
    floor_s: float | None
    peak_mb: float | None
    ratio: float
    relation: str
    target: float

    @property
    def holds(self) -> bool:
        """Whether the inequality is true."""
        return self.ratio >= self.target if self.relation == ">=" else self.ratio <= self.target

    def as_record(self) -> dict[str, Any]:
        """Give the row for JSON."""
        return asdict(self) | {"holds": self.holds}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Row":
        """Take a row from JSON."""
        return cls(**{name: value for name, value in record.items() if name != "holds"})


def times_faster(
    name: str, claim: str, ours_s: float, peer_s: float, target: float, peak_mb: float | None = None
) -> Row:
    """Claim that a peer takes at least `target` times as long."""
    return Row(name, claim, ours_s, peer_s, None, peak_mb, peer_s / ours_s, ">=", target)


def times_floor(
    name: str, claim: str, ours_s: float, floor_s: float, target: float, peak_mb: float | None = None
) -> Row:
    """Claim that ours takes at most `target` times the floor."""
    return Row(name, claim, ours_s, None, floor_s, peak_mb, ours_s / floor_s, "<=", target)


def megabytes(name: str, claim: str, peak_mb: float, target: float, ours_s: float | None = None) -> Row:
    """Claim that ours holds at most `target` megabytes."""
    return Row(name, claim, ours_s, None, None, peak_mb, peak_mb, "<=", target)


@dataclass(frozen=True)
class Curve:
    """Time against size, and the power law that fits it.

    Parameters
    ----------
    id, claim
        As of a row.
    size
        What is varied.
    sizes, seconds
        The points.
    theory
        Exponent that the number of operations has.
    """

    id: str
    claim: str
    size: str
    sizes: list[int]
    seconds: list[float]
    theory: float

    @property
    def exponent(self) -> float:
        """Slope of log time over log size, by least squares over all points."""
        return float(np.polyfit(np.log(self.sizes), np.log(self.seconds), 1)[0])

    def as_record(self) -> dict[str, Any]:
        """Give the curve for JSON."""
        return asdict(self) | {"exponent": self.exponent}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Curve":
        """Take a curve from JSON."""
        return cls(**{name: value for name, value in record.items() if name != "exponent"})


class DisagreementError(Exception):
    """Ours and a peer's results differ, so comparing their speed says nothing."""


def require_equal(what: str, ours: ArrayLike, peer: ArrayLike, tolerance: float) -> None:
    """Raise unless two results agree.

    Raises
    ------
    DisagreementError
        The largest difference exceeds the tolerance, or one of the results is not finite.
    """
    difference = float(np.max(np.abs(np.asarray(ours, np.float64) - np.asarray(peer, np.float64))))
    if not difference <= tolerance:
        raise DisagreementError(
            f"{what}: brainalign's and the peer's results differ by {difference:.3g}, more than the "
            f"{tolerance:.3g} that rounding explains; neither time means anything until this is mended."
        )
