"""The distribution of preferred directions over units, and whether it has two modes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainalign.metrics.metric import Metric
from brainalign.metrics.preferred_directions import cosine_tuning

Array = np.ndarray


@dataclass(frozen=True)
class DirectionTuningKernel:
    """Length of the mean of preferred directions as unit vectors, angles times `fold`; in degrees."""

    fold: int = 2

    def value(
        self,
        rates: Float[Array, "condition unit"],
        angles: Float[Array, " condition"],
        rng: np.random.Generator,
    ) -> float:
        r"""Give :math:`\lvert \frac1N \sum_j e^{i k \theta_j} \rvert` of the N units that vary."""
        return float(np.abs(np.exp(1j * self.fold * self._preferred(rates, angles)).mean()))

    def null(
        self,
        rates: Float[Array, "condition unit"],
        angles: Float[Array, " condition"],
        n: int,
        rng: np.random.Generator,
    ) -> Float[Array, " draw"]:
        """Give values of as many directions drawn uniformly."""
        n_units = len(self._preferred(rates, angles))
        return np.abs(np.exp(1j * rng.uniform(0, 2 * np.pi, (n, n_units))).mean(axis=1))

    def _preferred(self, rates: Array, angles: Array) -> Float[Array, " unit"]:
        preferred = cosine_tuning(rates, angles).preferred
        return np.deg2rad(preferred[np.isfinite(preferred)])


def preferred_directions(fold: int = 2) -> Metric:
    """How far preferred directions gather along one axis (`fold` 2: two opposite modes) or about one (1).

    0 where they are uniform; the null has as many directions drawn uniformly.
    """
    return Metric(
        name="preferred_directions",
        family="tuning",
        kernel=DirectionTuningKernel(fold),
        needs=frozenset({"responses", "labels"}),
        range=(0.0, 1.0),
        symmetric=False,
        invariances=frozenset({"scaling", "translation"}),
        chance=0.0,
        label=f"mean length of preferred directions, {fold}-fold",
        citation="Lillicrap & Scott 2013",
        options={"fold": fold},
    )
