"""What holding a network's layers against one region by one metric gives."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Float

from brainalign.compare.resampling import Resamples
from brainalign.probing import Representation

Array = np.ndarray


@dataclass(frozen=True)
class Outcome:
    """The value of one layer, and what resampling makes of it.

    Parameters
    ----------
    raw
        The metric's value on all stimuli.
    spread
        Standard deviation over splits or subjects: descriptive, no standard error.
    replicates
        The value in each bootstrap sample, or part of the stimuli, shape (kind, resample); see `Resamples`.
    choosing
        For each split the value on the stimuli by which a layer is chosen: on all of them first,
        then in each bootstrap sample of each kind.
    scoring
        The same on the other stimuli, by which the chosen layer is scored.
    details
        Values per unit (``unit, subject, r, reliability, explained``) or per subject (``subject, r``).
    note
        Why the value is missing.
    """

    raw: float
    spread: float
    replicates: Float[Array, "kind resample"]
    choosing: Float[Array, "split value"]
    scoring: Float[Array, "split value"]
    details: pd.DataFrame | None = None
    note: str = ""

    @classmethod
    def undefined(cls, resamples: Resamples, note: str) -> "Outcome":
        """Make the outcome of a layer that cannot be compared, with the reason."""
        replicates = np.full((resamples.n_kinds, len(resamples.stimuli)), np.nan)
        no_splits = np.empty((0, 1 + replicates.size))
        return cls(float("nan"), float("nan"), replicates, no_splits, no_splits, note=note)


@dataclass(frozen=True)
class Facts:
    """What is true of a region under a metric, whatever the network."""

    stimuli: tuple[str, ...]
    subject: str = ""
    n_units: int = -1
    n_units_masked: int = 0
    ceiling: float = float("nan")
    ceiling_lower: float = float("nan")
    notes: tuple[str, ...] = field(default_factory=tuple)


@runtime_checkable
class Comparison(Protocol):
    """A region made ready for one metric: layers go in, outcomes come out."""

    facts: Facts
    resamples: Resamples

    def outcomes(self, layers: Sequence[Representation]) -> list[Outcome]:
        """Compare each layer, given for the stimuli of `facts` in their order."""
        ...

    def normalise(self, raw: float) -> float:
        """Express a raw value as a share of what the ceiling allows."""
        ...


def mean_over_splits(values: Float[Array, "split value"]) -> Float[Array, " value"]:
    """Mean over the splits in which a value is defined; NaN where there is none."""
    counted = np.isfinite(values)
    total = np.where(counted, values, 0.0).sum(axis=0)
    count = counted.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
