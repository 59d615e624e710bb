"""Similarity of two Gram matrices: a layer's and a region's, as whole representations."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from brainalign.compare.comparison import Facts, Outcome
from brainalign.compare.patterns import Patterns, find_patterns
from brainalign.compare.resampling import Resamples
from brainalign.compare.splits import halves
from brainalign.metrics.metric import Metric
from brainalign.metrics.reliability import split_halves
from brainalign.probing import Representation

Array = np.ndarray

N_HALVINGS = 3
N_CEILING_SPLITS = 20


class GramSimilarity:
    """A region's Gram matrix, to be compared with those of layers.

    With repeats, the ceiling is the similarity of one half of the repeats to the other, averaged over
    random halves.
    """

    def __init__(self, metric: Metric, responses: xr.DataArray, owner: str, n_resamples: int, seed: int):
        self._kernel = metric.kernel
        patterns = find_patterns(responses, owner)
        self._gram = _gram(patterns.mean)
        n = len(patterns.stimuli)
        subjects = set(patterns.subjects)
        ceiling = self._split_half(patterns, np.random.default_rng(seed))
        self.facts = Facts(
            stimuli=patterns.stimuli,
            subject=subjects.pop() if len(subjects) == 1 else "",
            n_units=len(patterns.units),
            n_units_masked=patterns.n_masked,
            ceiling=ceiling,
            notes=() if patterns.repeats is not None else ("no ceiling: the recording has no repeats",),
        )
        self.resamples = Resamples.draw(n_resamples, n, 0, seed)
        self._halves = halves(n, N_HALVINGS, np.random.default_rng(seed))

    def outcomes(self, layers: Sequence[Representation]) -> list[Outcome]:
        """Compare each layer's Gram matrix with the region's."""
        return [self._outcome(layer) for layer in layers]

    def normalise(self, raw: float) -> float:
        """Express a raw value as a share of the recording's similarity to itself."""
        return raw / self.facts.ceiling

    def _outcome(self, layer: Representation) -> Outcome:
        whole = self._values(layer.gram, np.arange(len(self.facts.stimuli)))
        choosing, scoring = [], []
        for half, other in self._halves:
            first, second = self._values(layer.gram, half), self._values(layer.gram, other)
            choosing += [first, second]
            scoring += [second, first]
        return Outcome(
            raw=float(whole[0]),
            spread=float("nan"),
            replicates=whole[None, 1:],
            choosing=np.array(choosing),
            scoring=np.array(scoring),
        )

    def _values(self, gram: Float[Array, "n n"], rows: Int[Array, " row"]) -> Float[Array, " value"]:
        """Similarity on some stimuli: observed, then in each bootstrap sample."""
        block = np.ix_(rows, rows)
        counts = np.vstack([np.ones(len(rows), dtype=np.int64), self.resamples.stimuli[:, rows]])
        return self._kernel.resampled(gram[block], self._gram[block], counts)

    def _split_half(self, patterns: Patterns, generator: np.random.Generator) -> float:
        if patterns.repeats is None:
            return float("nan")
        values = []
        for _ in range(N_CEILING_SPLITS):
            one, other = split_halves(patterns.repeats, generator)
            seen = ~(np.isnan(one).any(axis=1) | np.isnan(other).any(axis=1))
            values.append(self._kernel.value(_gram(one[seen]), _gram(other[seen])))
        return float(np.mean(values))


def _gram(responses: Float[Array, "stimulus unit"]) -> Float[Array, "stimulus stimulus"]:
    centred = responses - responses.mean(axis=0)
    return centred @ centred.T
