"""Joint predictivity: how well all layers together predict the responses of units."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.compare.comparison import Outcome
from brainalign.compare.held_out import HeldOutUnits, centred_blocks
from brainalign.metrics.metric import Metric
from brainalign.probing import Representation

Array = np.ndarray


class JointPredictivity:
    """A region's units, to be predicted from several layers at once, each a band of its own.

    Value, ceiling and bootstrap are those of `Predictivity`. There is nothing to choose between, so the
    values by which a layer would be chosen are NaN.
    """

    joint = True

    def __init__(
        self,
        metric: Metric,
        responses: xr.DataArray,
        owner: str,
        n_resamples: int,
        seed: int,
        metadata: pd.DataFrame | None = None,
    ):
        self._kernel = metric.kernel
        self._units = HeldOutUnits(responses, owner, n_resamples, seed, metadata)
        self.facts, self.resamples = self._units.facts, self._units.resamples

    def outcomes(self, layers: Sequence[Representation]) -> list[Outcome]:
        """Predict the units from all layers together: one outcome, or none without layers."""
        if not layers:
            return []

        def predict(train: Array, test: Array) -> Array:
            train_grams, cross_grams = banded_blocks([layer.gram for layer in layers], train, test)
            return self._kernel(train_grams, cross_grams, self._units.patterns.mean[train])

        return [self._units.outcome(predict, choose=False)]

    def normalise(self, raw: float) -> float:
        """Fraction of the explainable variance, sign(r)·(r/ceiling)²."""
        return self._units.explained(raw)


def banded_blocks(grams: Sequence[Array], train: Array, test: Array) -> tuple[Array, Array]:
    """Centred blocks of several Gram matrices, shapes (band, train, train) and (band, test, train)."""
    blocks = [centred_blocks(gram, train, test) for gram in grams]
    return np.stack([block for block, _ in blocks]), np.stack([block for _, block in blocks])
