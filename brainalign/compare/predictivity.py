"""Linear predictivity: how well a layer predicts the responses of units to stimuli it was not fitted on."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from brainalign.compare.comparison import Outcome
from brainalign.compare.held_out import HeldOutUnits, centred_blocks
from brainalign.compare.splits import N_SPLITS
from brainalign.metrics.metric import Metric
from brainalign.probing import Representation

Array = np.ndarray


class Predictivity:
    """A region's units, to be predicted from layers by regression across stimuli.

    Per unit, Pearson's r between prediction and response inside each held-out fold; the median over
    units in each split; the mean over splits. The ceiling is the square root of the median split-half
    reliability of the units. In the bootstrap, held-out predictions are resampled within their folds;
    for the variance over other fits see `Resamples.variance`.
    """

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
        n_splits = int(str(metric.options.get("n_splits", N_SPLITS)))
        self._units = HeldOutUnits(responses, owner, n_resamples, seed, metadata, n_splits)
        self.facts, self.resamples = self._units.facts, self._units.resamples

    def outcomes(self, layers: Sequence[Representation]) -> list[Outcome]:
        """Predict the units from each layer."""
        return [self._outcome(layer.gram) for layer in layers]

    def normalise(self, raw: float) -> float:
        """Fraction of the explainable variance, sign(r)·(r/ceiling)²."""
        return self._units.explained(raw)

    def _outcome(self, gram: Float[Array, "n n"]) -> Outcome:
        def predict(train: Array, test: Array) -> Array:
            return self._kernel(*centred_blocks(gram, train, test), self._units.patterns.mean[train])

        return self._units.outcome(predict)
