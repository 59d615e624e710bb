"""Reverse predictivity: how well a region's units predict a layer's features of stimuli held out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from brainalign.compare.comparison import Facts, Outcome
from brainalign.compare.held_out import centred_blocks, draw_folds, fold_weights, outcome_over_folds
from brainalign.compare.patterns import find_patterns
from brainalign.compare.resampling import Resamples, fit_share
from brainalign.metrics.metric import Metric
from brainalign.metrics.reverse import pooled_correlation
from brainalign.probing import Representation

Array = np.ndarray

NO_CEILING = "no ceiling: the noise is in the units that predict, not in the features that are predicted"


class ReversePredictivity:
    """A region's units, from which the features of layers are predicted by regression across stimuli.

    Inside each held-out fold the correlation of predicted with true features, pooled over features in
    proportion to their variance; the mean over folds. From the layer's Gram matrix alone: with A the map from
    training to test stimuli, the predictions X̂ = A X enter as X̂X̂ᵀ = A K Aᵀ and X̂X_testᵀ = A K_crossᵀ, so
    cost and value do not depend on how many features there are. In the bootstrap, held-out stimuli are
    resampled within their folds; for the variance over other fits see `Resamples.variance`.
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
        patterns = find_patterns(responses, owner)
        centred = patterns.mean - patterns.mean.mean(axis=0)
        self._gram = centred @ centred.T
        subjects = set(patterns.subjects)
        self.facts = Facts(
            stimuli=patterns.stimuli,
            subject=subjects.pop() if len(subjects) == 1 else "",
            n_units=len(patterns.units),
            n_units_masked=patterns.n_masked,
            notes=(NO_CEILING,),
        )
        self._folds = draw_folds(patterns.stimuli, metadata, seed)
        share = fit_share([(fold.train, fold.test) for fold in self._folds])
        self.resamples = Resamples.draw(n_resamples, len(patterns.stimuli), 0, seed, fit_share=share)

    def outcomes(self, layers: Sequence[Representation]) -> list[Outcome]:
        """Predict the features of each layer."""
        grams = [layer.gram for layer in layers]
        choosing = [self._values(grams, fold.fit, fold.choose) for fold in self._folds]
        scoring = [self._values(grams, fold.train, fold.test) for fold in self._folds]
        return [
            outcome_over_folds(np.array(chosen_by), np.array(scored_by))
            for chosen_by, scored_by in zip(
                zip(*choosing, strict=True), zip(*scoring, strict=True), strict=True
            )
        ]

    def normalise(self, raw: float) -> float:
        """NaN: there is no ceiling."""
        return raw * self.facts.ceiling

    def _values(
        self, grams: Sequence[Float[Array, "n n"]], train: Array, test: Array
    ) -> list[Float[Array, " value"]]:
        """Pooled correlation of each layer on the test stimuli: observed, then in each bootstrap sample."""
        weights_for = self._kernel(*centred_blocks(self._gram, train, test))
        counts, found = fold_weights(self.resamples, test), []
        for gram in grams:
            train_gram, cross_gram = centred_blocks(gram, train, test)
            weights = weights_for(train_gram)
            predicted, both = weights @ train_gram @ weights.T, weights @ cross_gram.T
            found.append(pooled_correlation(predicted, both, gram[np.ix_(test, test)], counts))
        return found
