"""Representational similarity analysis: a layer's dissimilarity matrix against each subject's."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int

from brainalign.compare.comparison import Facts, Outcome
from brainalign.compare.patterns import FEWEST_STIMULI, Patterns, check_enough_stimuli, find_patterns
from brainalign.compare.resampling import Resamples
from brainalign.compare.splits import halves, labels
from brainalign.errors import NeedsError, ResponsesError
from brainalign.metrics.jackknife import PairJackknife
from brainalign.metrics.metric import Metric
from brainalign.metrics.noise_ceiling import average_visits, noise_ceiling
from brainalign.metrics.noise_precision import units_with_noise
from brainalign.metrics.rdm import to_condensed
from brainalign.metrics.rsa import RdmKernel
from brainalign.probing import Representation

Array = np.ndarray

N_HALVINGS = 3


class RdmComparison:
    """Dissimilarity matrices of one region, one a subject, to be compared with those of layers.

    The value is the comparator between the layer's matrix and each subject's, averaged over subjects.
    With three subjects or more the ceilings are Nili et al.'s (2014). In the bootstrap the pairs of one
    stimulus with itself are dropped; with fewer subjects, replicates are those of a jackknife of stimuli and
    pairs (`Resamples.variance`). Where noise is normalised, it is each subject's own, and units that have
    none are left out and counted as masked.
    """

    def __init__(
        self,
        metric: Metric,
        region: xr.DataArray,
        owner: str,
        n_resamples: int,
        seed: int,
        metadata: pd.DataFrame | None = None,
    ):
        self._kernel: RdmKernel = metric.kernel
        self._variances: Array | None = None
        if "other_stimulus" in region.dims:
            stimuli, self._subjects, self._rdms = _given_rdms(region, owner)
            n_units = n_masked = None
        else:
            patterns = find_patterns(region, owner)
            n_found = len(patterns.units)
            if self._kernel.needs_repeats:
                patterns = with_noise(patterns, owner)
            self._subjects, self._rdms, self._variances = _rdms_of(patterns, self._kernel, owner)
            stimuli, n_units = patterns.stimuli, len(patterns.units)
            n_masked = patterns.n_masked + n_found - n_units
        lower, upper, notes = float("nan"), float("nan"), ()
        if len(self._subjects) >= 3:
            lower, upper = noise_ceiling(self._rdms, self._kernel.comparator, self._variances)
        else:
            notes = (f"no ceiling: it takes three subjects, there are {len(self._subjects)}",)
        self.facts = Facts(
            stimuli=stimuli,
            subject=self._subjects[0] if len(self._subjects) == 1 else "",
            n_units=-1 if n_units is None else n_units,
            n_units_masked=n_masked or 0,
            ceiling=upper,
            ceiling_lower=lower,
            notes=notes,
        )
        self.resamples = Resamples.draw(
            n_resamples, len(stimuli), len(self._subjects), seed, of_pairs=True, jackknifed=None
        )
        groups = labels(metadata, "image", stimuli)
        self._halves = halves(len(stimuli), N_HALVINGS, np.random.default_rng(seed), groups)

    def outcomes(self, layers: Sequence[Representation]) -> list[Outcome]:
        """Compare each layer's dissimilarity matrix with the subjects'."""
        rdms, faults = {}, {}
        for place, layer in enumerate(layers):
            try:
                rdms[place] = self._kernel.rdm(layer)
            except ResponsesError as error:
                faults[place] = str(error)
        compared = iter(self._compare(np.stack(list(rdms.values()))) if rdms else [])
        return [
            Outcome.undefined(self.resamples, faults[place]) if place in faults else next(compared)
            for place in range(len(layers))
        ]

    def _compare(self, rdms: Float[Array, "layer pair"]) -> list[Outcome]:
        whole, per_subject = self._values(rdms, np.arange(len(self.facts.stimuli)))
        choosing, scoring = [], []
        for half, other in self._halves:
            first, second = self._values(rdms, half)[0], self._values(rdms, other)[0]
            choosing += [first, second]
            scoring += [second, first]
        return [
            Outcome(
                raw=float(whole[place, 0]),
                spread=float(np.std(per_subject[place], ddof=1)) if len(self._subjects) > 1 else float("nan"),
                replicates=whole[place, 1:].reshape(self.resamples.n_kinds, -1),
                choosing=np.stack(choosing)[:, place],
                scoring=np.stack(scoring)[:, place],
                details=pd.DataFrame({"subject": self._subjects, "r": per_subject[place]}),
            )
            for place in range(len(rdms))
        ]

    def normalise(self, raw: float) -> float:
        """Express a raw value as a share of the upper ceiling."""
        return raw / self.facts.ceiling

    def _values(
        self, rdms: Float[Array, "layer pair"], rows: Int[Array, " row"]
    ) -> tuple[Float[Array, "layer value"], Float[Array, "layer subject"]]:
        """Mean over subjects on some stimuli: observed, then in each bootstrap sample of each kind."""
        compared = self._resampled(rdms_on(rdms, rows), rows)
        observed = compared[:, 0]
        by_stimuli = compared[:, 1:].mean(axis=2)
        if self.resamples.subjects is None:
            return np.column_stack([observed.mean(axis=1), by_stimuli]), observed
        share = self.resamples.subjects / len(self._subjects)
        both = np.einsum("lrs,rs->lr", compared[:, 1:], share)
        by_subjects = observed @ share.T
        return np.column_stack([observed.mean(axis=1), both, by_subjects, by_stimuli]), observed

    def _resampled(
        self, layers: Float[Array, "layer pair"], rows: Int[Array, " row"]
    ) -> Float[Array, "layer sample subject"]:
        """Compare with each subject on some stimuli, each once, then in each bootstrap sample of them."""
        subjects = rdms_on(self._rdms, rows)
        variances = None if self._variances is None else self._variances[:, rows]
        counts = np.vstack([np.ones(len(rows), dtype=np.int64), self.resamples.stimuli[:, rows]])
        if not self.resamples.jackknifed:
            return self._kernel.resampled(layers, subjects, counts, variances)
        jackknife = PairJackknife(counts)
        compared = self._kernel.resampled(layers, subjects, jackknife.left_out, variances)
        return jackknife.replicates(compared.swapaxes(1, 2)).swapaxes(1, 2)


def rdms_on(rdms: Float[Array, "matrix pair"], rows: Int[Array, " row"]) -> Float[Array, "matrix kept"]:
    """Keep the pairs among some of the stimuli."""
    first, second = np.triu_indices(len(rows), 1)
    n = round((1 + np.sqrt(1 + 8 * rdms.shape[1])) / 2)
    low, high = rows[first], rows[second]
    return rdms[:, low * n - low * (low + 1) // 2 + high - low - 1]


def _given_rdms(region: xr.DataArray, owner: str) -> tuple[tuple[str, ...], list[str], Array]:
    """Stimuli sorted by id, subjects, and their condensed matrices, visits of one subject averaged."""
    order = np.argsort(region["stimulus"].values.astype(str))
    check_enough_stimuli(len(order), owner)
    ordered = region.isel(stimulus=order, other_stimulus=order)
    condensed = np.stack([to_condensed(matrix.astype(np.float64)) for matrix in ordered.values])
    rdms, subjects = average_visits(condensed, [str(name) for name in ordered["subject"].values])
    return tuple(ordered["stimulus"].values.tolist()), subjects, rdms


def with_noise(patterns: Patterns, owner: str) -> Patterns:
    """Leave the units whose noise the repeats show."""
    if patterns.repeats is None:
        raise NeedsError(
            f"{owner} has no repeats, or of fewer than {FEWEST_STIMULI} stimuli, so its noise is unknown; use "
            "a dissimilarity that needs no noise, such as rsa:rdm=squared_euclidean."
        )
    noisy = units_with_noise(patterns.repeats)
    if not noisy.any():
        raise NeedsError(
            f"{owner}: none of the {noisy.size} units has two repeats of a stimulus that differ, so there is "
            "no noise to normalise; use rsa:rdm=squared_euclidean."
        )
    return patterns.only(noisy)


def _rdms_of(
    patterns: Patterns, kernel: RdmKernel, owner: str
) -> tuple[list[str], Float[Array, "subject pair"], Float[Array, "subject stimulus"] | None]:
    """Subjects, each one's condensed matrix, and the noise of its mean responses to each stimulus."""
    names = np.array(patterns.subjects, dtype=object)
    subjects = list(dict.fromkeys(patterns.subjects))
    found = []
    for subject in subjects:
        own = names == subject
        repeats = None if patterns.repeats is None else patterns.repeats[:, own]
        try:
            found.append(kernel.of_subject(patterns.mean[:, own], repeats))
        except ResponsesError as error:
            raise NeedsError(f"{owner}: {error}") from error
    rdms, variances = zip(*found, strict=True)
    return subjects, np.stack(rdms), None if variances[0] is None else np.stack(variances)
