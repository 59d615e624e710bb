"""How alike representations are by how they tell stimuli apart, for all pairs of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainalign.compare.rdm_vectors import as_vectors, is_inner_product, is_undefined
from brainalign.errors import NeedsError, UnknownNameError
from brainalign.metrics import find_metric
from brainalign.metrics.comparators import COMPARATORS
from brainalign.metrics.gram_kernel import layer_axes, region_axes
from brainalign.metrics.rdm import rdm_from_features, to_condensed
from brainalign.metrics.rsa import RdmKernel
from brainalign.probing import Representation

Array = np.ndarray
Patterns = Float[Array, "n unit"]
Square = Float[Array, "n n"]
Similarity = Float[Array, "point point"]

UNIT_LENGTH = ("pearson", "spearman", "cosine", "cosine_cov", "corr_cov")
"""Comparators that are the cosine of two vectors, so that RDMs lie on a sphere."""


@dataclass(frozen=True)
class RdmSpace:
    r"""RDMs as unit vectors, of which the comparator is the inner product; distance 1 − comparator.

    All pairs are one product of a matrix (point, pair) with its transpose, in float64: eight bytes a point and
    pair of stimuli, twice (the RDMs and their vectors). 1 − ρ is half a squared distance, and no metric; the
    angle arccos ρ is one.
    """

    kernel: RdmKernel

    def of_layer(self, layer: Representation) -> Float[Array, " pair"]:
        """Dissimilarities of a layer, condensed."""
        return self.kernel.rdm(layer)

    def of_patterns(self, patterns: Patterns) -> Float[Array, " pair"]:
        """Dissimilarities of responses, condensed."""
        return rdm_from_features(patterns, self.kernel.method)

    def of_rdm(self, rdm: Square) -> Float[Array, " pair"]:
        """Condense."""
        return to_condensed(np.asarray(rdm, dtype=np.float64))

    def pooled(self, kept: Sequence[Array]) -> Float[Array, " pair"]:
        """Average after what the comparator does not look at is taken away, as for noise ceilings."""
        return COMPARATORS[self.kernel.comparator].normalise(np.stack(kept)).mean(axis=0)

    def similarity(self, kept: Sequence[Array]) -> Similarity:
        """Compare all pairs of RDMs."""
        rdms = np.stack(kept)
        vectors = as_vectors(rdms, self.kernel.comparator)
        return _cosines(vectors @ vectors.T, is_undefined(rdms, self.kernel.comparator))

    def distance(self, similarity: Float[Array, "*any"]) -> Float[Array, "*any"]:
        """1 − comparator."""
        return 1.0 - similarity


@dataclass(frozen=True)
class ShapeSpace:
    r"""Configurations of unit size up to rotation; distance :math:`\arccos \lVert X^T Y\rVert_*`, a metric.

    The angular Procrustes distance without whitening (Williams et al. 2021). A singular value decomposition of
    up to n × n a pair of points: 300 points of 92 stimuli take 15 s, and the time grows as n³. In
    memory 8 n² bytes a point, and once more for the products of one point with all.
    """

    def of_layer(self, layer: Representation) -> Patterns:
        """Principal axes of a layer, each as long as it is."""
        axes, lengths = layer_axes(layer.gram)
        return axes * lengths

    def of_patterns(self, patterns: Patterns) -> Patterns:
        """Principal axes of responses, each as long as it is."""
        axes, lengths = region_axes(np.asarray(patterns, dtype=np.float64))
        return axes * lengths

    def of_rdm(self, rdm: Square) -> Patterns:
        """Refuse: the configuration is not known."""
        raise NeedsError(
            "procrustes compares responses, and this region has RDMs alone; use rsa, or other regions."
        )

    def pooled(self, kept: Sequence[Array]) -> Patterns:
        """Put the subjects' units side by side."""
        return np.hstack(kept)

    def similarity(self, kept: Sequence[Array]) -> Similarity:
        """Cosine of the angle of all pairs after the best rotation."""
        widest = max(each.shape[1] for each in kept)
        sizes = np.array([np.linalg.norm(each) for each in kept])
        # Columns of zeros change no singular value that counts, and let numpy go through all pairs.
        stack = np.zeros((len(kept), len(kept[0]), widest))
        for place, each in enumerate(kept):
            stack[place, :, : each.shape[1]] = each / (sizes[place] or 1.0)
        cosines = np.eye(len(kept))
        for place in range(len(kept) - 1):
            products = stack[place].T @ stack[place + 1 :]
            row = np.linalg.svd(products, compute_uv=False).sum(axis=-1)
            cosines[place, place + 1 :] = cosines[place + 1 :, place] = row
        return _cosines(cosines, sizes == 0)

    def distance(self, similarity: Float[Array, "*any"]) -> Float[Array, "*any"]:
        """Angle, in radians."""
        return np.arccos(similarity)


SecondOrder = RdmSpace | ShapeSpace
"""A space of representations of the same stimuli, in which the similarity of two is a cosine."""


def find_space(metric: str) -> tuple[str, SecondOrder]:
    """Give a metric's name as the catalogue spells it, and its space.

    Raises
    ------
    UnknownNameError
        No such metric, or one that is no cosine, or not of one representation with another.
    """
    found = find_metric(metric)
    if found.family == "rdm" and isinstance(kernel := found.kernel, RdmKernel):
        if kernel.comparator in UNIT_LENGTH and is_inner_product(kernel) and not kernel.needs_repeats:
            return found.name, RdmSpace(kernel)
    elif found.name.startswith("procrustes") and found.options["alpha"] == 1:
        return found.name, ShapeSpace()
    raise UnknownNameError(
        f"Paths cannot be measured by {found.name!r}. Give rsa, its RDMs of a kind that needs no repeats, with "
        f"compare={', '.join(UNIT_LENGTH[:-1])} or {UNIT_LENGTH[-1]}, or procrustes with alpha=1."
    )


def _cosines(products: Similarity, undefined: np.ndarray) -> Similarity:
    cosines = np.clip(products, -1.0, 1.0)
    np.fill_diagonal(cosines, 1.0)
    cosines[undefined] = cosines[:, undefined] = np.nan
    return cosines
