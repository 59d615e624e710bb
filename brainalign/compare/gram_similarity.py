"""Similarity of two Gram matrices: a layer's and a region's, as whole representations."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int

from brainalign.compare.comparison import Facts, Outcome
from brainalign.compare.patterns import FEWEST_STIMULI, NO_REPEATS, Patterns, find_patterns
from brainalign.compare.resampling import Resamples
from brainalign.compare.splits import halves, labels
from brainalign.metrics.gram_kernel import GramKernel, GramMatrix, gram_of
from brainalign.metrics.jackknife import PairJackknife
from brainalign.metrics.metric import Metric
from brainalign.metrics.reliability import split_halves
from brainalign.probing import Representation

Array = np.ndarray

ABOVE_ZERO = "chance is above 0, and higher on the halves of the stimuli by which a committed layer is scored"

N_HALVINGS = 3
N_CEILING_SPLITS = 20


class GramSimilarity:
    """A region's Gram matrix, to be compared with those of layers.

    With repeats, the lower ceiling is the similarity h of one half of the repeats to the other, averaged
    over random halves, and the ceiling √(2h/(1 + h)), by Spearman and Brown: a network without noise, held
    against all repeats, may exceed the likeness of two noisy halves to each other. Exact for Procrustes
    similarity without whitening as long as noise finds no agreement with noise. Near the chance level, where
    there is little but such agreement, the ceiling of any measure but debiased CKA is too high; there is none
    under it.
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
        self._kernel: GramKernel = metric.kernel
        patterns = find_patterns(responses, owner)
        self._responses = patterns.mean
        n = len(patterns.stimuli)
        subjects = set(patterns.subjects)
        half, notes = self._split_half(patterns, np.random.default_rng(seed))
        if metric.chance != 0:
            notes += (ABOVE_ZERO,)
        self.facts = Facts(
            stimuli=patterns.stimuli,
            subject=subjects.pop() if len(subjects) == 1 else "",
            n_units=len(patterns.units),
            n_units_masked=patterns.n_masked,
            ceiling=float(np.sqrt(2 * half / (1 + half))),
            ceiling_lower=half,
            notes=notes,
        )
        # Replicates of first order hold nothing that is peculiar to pairs.
        jackknifed = self._kernel.jackknifed
        of_pairs = jackknifed is not False
        self.resamples = Resamples.draw(n_resamples, n, 0, seed, of_pairs=of_pairs, jackknifed=jackknifed)
        groups = labels(metadata, "image", patterns.stimuli)
        self._halves = halves(n, N_HALVINGS, np.random.default_rng(seed), groups)

    def outcomes(self, layers: Sequence[Representation]) -> list[Outcome]:
        """Compare each layer's Gram matrix with the region's."""
        grams = [layer.gram for layer in layers]
        whole = self._values(grams, np.arange(len(self.facts.stimuli)))
        halves = np.array([[self._values(grams, half) for half in pair] for pair in self._halves])
        by_half = np.moveaxis(halves, 2, 0)
        return [
            Outcome(
                raw=float(values[0]),
                spread=float("nan"),
                replicates=values[None, 1:],
                choosing=of_halves.reshape(-1, len(values)),
                scoring=of_halves[:, ::-1].reshape(-1, len(values)),
                note=self._kernel.note(gram, self._responses),
            )
            for gram, values, of_halves in zip(grams, whole, by_half, strict=True)
        ]

    def normalise(self, raw: float) -> float:
        """Express a raw value as a share of the ceiling."""
        return raw / self.facts.ceiling

    def _values(self, grams: Sequence[GramMatrix], rows: Int[Array, " row"]) -> Float[Array, "layer value"]:
        """Similarity of each layer on some stimuli: observed, then in each bootstrap sample."""
        counts = np.vstack([np.ones(len(rows), dtype=np.int64), self.resamples.stimuli[:, rows]])
        by_sets = self.resamples.jackknifed and self._kernel.jackknifed is None
        jackknife = PairJackknife(counts) if by_sets else None
        of_sets = counts if jackknife is None else jackknife.left_out
        resampled = self._kernel.resampler(self._responses[rows], of_sets)
        values = np.reshape([resampled(gram[np.ix_(rows, rows)]) for gram in grams], (len(grams), len(of_sets)))
        return values if jackknife is None else jackknife.replicates(values)

    def _split_half(self, patterns: Patterns, generator: np.random.Generator) -> tuple[float, tuple[str, ...]]:
        """Similarity of halves of the repeats, over the stimuli of which every unit has two."""
        if patterns.repeats is None:
            return float("nan"), (NO_REPEATS,)
        repeated = ((~np.isnan(patterns.repeats)).sum(axis=2) >= 2).all(axis=1)
        if repeated.sum() < FEWEST_STIMULI:
            return float("nan"), (NO_REPEATS,)
        splits = [split_halves(patterns.repeats[repeated], generator) for _ in range(N_CEILING_SPLITS)]
        likeness = np.array([self._kernel.value(gram_of(one), other) for one, other in splits])
        one, other = splits[int(np.isnan(likeness).argmax())]
        half, chance = float(np.mean(likeness)), self._kernel.chance(gram_of(one), other)
        if not half > chance:
            reason = self._kernel.note(gram_of(one), other) if np.isnan(half) else ""
            return float("nan"), (f"no ceiling: {reason or 'halves of the repeats are not alike'}",)
        return half, ()
