"""RSA of all layers together: their RDMs, weighted on some stimuli and subjects, against those of others."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int

from brainalign.compare.comparison import Outcome, mean_over_splits
from brainalign.compare.rdm_comparison import RdmComparison, rdms_on
from brainalign.compare.resampling import fit_share
from brainalign.compare.splits import labels, stimulus_folds
from brainalign.errors import ResponsesError
from brainalign.metrics.metric import Metric
from brainalign.metrics.noise_ceiling import MIN_SUBJECTS, noise_ceiling
from brainalign.metrics.weighted_rsa import WeightedRdmKernel
from brainalign.probing import Representation

Array = np.ndarray

N_PARTITIONS = 3
"""Times that the stimuli are parted into folds anew, since each partition compares few of the pairs."""


class WeightedRsa(RdmComparison):
    r"""Dissimilarity matrices of one region, to be predicted from those of all layers together.

    The stimuli are parted into k folds (k = 2, 3, 4, 5 for fewer than 12, 24, 40, and for 40 stimuli or more,
    as in ``rsatoolbox``), three times over. For each fold and each subject, weights of the layers are fitted
    to the pairs of the other stimuli in the other subjects (of a single subject: in itself), and the
    weighted sum is compared with the subject's own matrix over the pairs within the fold. The value is the
    mean over subjects and folds; the ceilings, too, are those of pairs within the folds. One weight
    per layer, fitted to no pair and no subject that it is judged by, needs no allowance for the number of
    layers.

    In the bootstrap the pairs and subjects that are held out are resampled within their folds, as in
    linear predictivity: weights and folds stay, and the variance of the fit itself is allowed for by Nadeau
    and Bengio's share (`Resamples.variance`). Not so in the jackknife that takes its place for one or two
    subjects: weights are few, and fitted where the value is near its highest, so that it hardly varies with
    them. By simulation its standard error without that share is 0.90–1.05 of the spread for two layers and 60
    to 400 stimuli, and 0.93–0.95 for 20 layers. There is none of the choice of folds to be taken off (Schütt et
    al. 2023 draw folds anew in each sample, and correct for that). It costs one weighted comparator per fold,
    subject and sample, and no fit.
    """

    joint = True

    def __init__(
        self,
        metric: Metric,
        region: xr.DataArray,
        owner: str,
        n_resamples: int,
        seed: int,
        metadata: pd.DataFrame | None = None,
    ):
        super().__init__(metric, region, owner, n_resamples, seed, metadata)
        self._weighted: WeightedRdmKernel = metric.kernel
        stimuli = self.facts.stimuli
        generator = np.random.default_rng(seed)
        groups = labels(metadata, "image", stimuli)
        partitions = [stimulus_folds(len(stimuli), generator, groups) for _ in range(N_PARTITIONS)]
        self._folds = [fold for folds in partitions for fold in folds]
        if not self.resamples.jackknifed:
            self.resamples = replace(self.resamples, fit_share=fit_share(self._folds))
        if len(self._subjects) >= MIN_SUBJECTS:
            ceilings = [
                noise_ceiling(rdms_on(self._rdms, test), metric.kernel.comparator) for _, test in self._folds
            ]
            lower, upper = np.mean(ceilings, axis=0)
            self.facts = replace(self.facts, ceiling_lower=float(lower), ceiling=float(upper))

    def outcomes(self, layers: Sequence[Representation]) -> list[Outcome]:
        """Weight the layers together: one outcome, each one's weight in its details, or none without layers."""
        if not layers:
            return []
        names, rdms, left_out = [], [], []
        for layer in layers:
            try:
                rdms.append(self._weighted.rdm(layer))
                names.append(layer.layer)
            except ResponsesError as error:
                left_out.append(str(error))
        if not rdms:
            return [Outcome.undefined(self.resamples, "; ".join(left_out))]
        outcome = self._together(np.stack(rdms), names)
        return [replace(outcome, note="; ".join(f"left out: {reason}" for reason in left_out))]

    def _together(self, rdms: Float[Array, "layer pair"], names: Sequence[str]) -> Outcome:
        per_fold, per_subject, weights = [], [], []
        for train, test in self._folds:
            fitted = self._weighted.weights(rdms_on(rdms, train), rdms_on(self._rdms, train))
            values, observed = self._held_out(fitted @ rdms_on(rdms, test), test)
            per_fold.append(values)
            per_subject.append(observed)
            weights.append(fitted)
        scoring, of_subjects = np.array(per_fold), mean_over_splits(np.array(per_subject))
        values = mean_over_splits(scoring)
        return Outcome(
            raw=float(values[0]),
            spread=float(np.std(of_subjects, ddof=1)) if len(of_subjects) > 1 else float("nan"),
            replicates=values[1:].reshape(self.resamples.n_kinds, -1),
            choosing=np.full_like(scoring, np.nan),
            scoring=scoring,
            details=pd.concat(
                [
                    pd.DataFrame({"subject": self._subjects, "r": of_subjects}),
                    _weight_table(np.array(weights), rdms, names),
                ],
                ignore_index=True,
            ),
        )

    def _held_out(
        self, predicted: Float[Array, "subject pair"], test: Int[Array, " row"]
    ) -> tuple[Float[Array, " value"], Float[Array, " subject"]]:
        """Mean over subjects, each against its own prediction: observed, then in each bootstrap sample."""
        # All predictions with all subjects in one call cost less than each with its own, one by one.
        compared = np.einsum("srs->rs", self._resampled(predicted, test))
        return self._over_subjects(compared), compared[0]

    def _over_subjects(self, compared: Float[Array, "sample subject"]) -> Float[Array, " value"]:
        observed, by_stimuli = compared[0], compared[1:]
        means = [observed.mean(keepdims=True), by_stimuli.mean(axis=1)]
        if self.resamples.subjects is not None:
            share = self.resamples.subjects / len(self._subjects)
            means[1:1] = [np.einsum("rs,rs->r", by_stimuli, share), share @ observed]
        return np.concatenate(means)


def _weight_table(
    weights: Float[Array, "fold subject layer"], rdms: Float[Array, "layer pair"], names: Sequence[str]
) -> pd.DataFrame:
    """Give each layer's weight, mean and standard deviation over the fits, and its share of the prediction.

    The share is the weight times the standard deviation of the layer's RDM, divided by the sum over layers.
    """
    parts = weights * rdms.std(axis=1)
    total = parts.sum(axis=2, keepdims=True)
    shares = np.divide(parts, total, out=np.zeros_like(parts), where=total > 0)
    return pd.DataFrame(
        {
            "weighted_layer": list(names),
            "weight": weights.mean(axis=(0, 1)),
            "weight_spread": weights.std(axis=(0, 1)),
            "share": shares.mean(axis=(0, 1)),
        }
    )
