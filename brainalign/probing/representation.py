"""What one layer's answer to n stimuli comes down to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainalign.errors import AlignmentError, ResponsesError

BLOCK = 2048
"""Columns of one float32 product before it is added up in float64."""


@dataclass(frozen=True, eq=False)
class Representation:
    """A layer's features X (stimulus × unit), reduced to inner products.

    With μ the mean row of X and C = X − 1μᵀ the centred features:

    Parameters
    ----------
    layer
        Name of the layer.
    stimuli
        Stimulus ids, one a row.
    gram
        C Cᵀ, shape (n, n), float64.
    mean_products
        C μ, shape (n,). With `mean_norm` it gives back X Xᵀ, which distances between patterns that
        are not invariant to their common mean (correlation, cosine) need.
    mean_norm
        μᵀ μ.
    row_sums
        X 1, shape (n,).
    n_units
        Number of units, the columns of X.
    features
        X itself, where it was asked for.
    place
        How many module calls the network has completed when it has this answer: orders its layers.
    """

    layer: str
    stimuli: tuple[str, ...]
    gram: Float[np.ndarray, "n n"]
    mean_products: Float[np.ndarray, " n"]
    mean_norm: float
    row_sums: Float[np.ndarray, " n"]
    n_units: int
    features: np.ndarray | None = None
    place: int = 0

    @classmethod
    def from_features(
        cls, features: np.ndarray, stimuli: Sequence[str], layer: str = "features", keep: bool = False
    ) -> "Representation":
        """Reduce features (n, unit); float32 ones are multiplied in blocks and added up in float64.

        Raises
        ------
        ResponsesError
            Features that are NaN or infinite (the layer is named), or rows that do not fit the ids.

        Examples
        --------
        >>> import numpy as np
        >>> Representation.from_features(np.eye(3), ["a", "b", "c"]).gram.round(2).tolist()[0]
        [0.67, -0.33, -0.33]
        """
        if features.ndim != 2 or len(features) != len(stimuli):
            raise ResponsesError(
                f"Layer {layer!r} has features of shape {features.shape} for {len(stimuli)} stimuli; "
                "expected (stimulus, unit)."
            )
        sums = inner_products(features, layer)
        return cls(layer, tuple(stimuli), *sums, features.shape[1], features if keep else None)

    def raw_gram(self) -> Float[np.ndarray, "n n"]:
        """X Xᵀ, the inner products of the features as they are."""
        return self.gram + self.mean_products[:, None] + self.mean_products[None, :] + self.mean_norm

    def participation_ratio(self) -> float:
        """Effective number of dimensions, (Σλ)² / Σλ² over the Gram matrix's eigenvalues λ.

        From 1 (all variance on one axis) to min(n − 1, units); NaN where the layer answers all
        stimuli alike (Gao et al. 2017).
        """
        total = np.trace(self.gram)
        return float(total**2 / np.sum(self.gram**2)) if total > 0 else float("nan")

    def select(self, stimuli: Sequence[str]) -> "Representation":
        """Take the stimuli named, in the order given, centred anew on their own mean."""
        if tuple(stimuli) == self.stimuli:
            return self
        place = {stimulus: row for row, stimulus in enumerate(self.stimuli)}
        missing = [stimulus for stimulus in stimuli if stimulus not in place]
        if missing:
            raise AlignmentError(
                f"Layer {self.layer!r} was not shown {len(missing)} of {len(stimuli)} stimuli, such as "
                f"{missing[0]!r}."
            )
        rows = np.array([place[stimulus] for stimulus in stimuli])
        gram, products = self.gram[np.ix_(rows, rows)], self.mean_products[rows]
        towards_mean = gram.mean(axis=1)
        shift = float(towards_mean.mean())
        return Representation(
            self.layer,
            tuple(stimuli),
            _centred(gram),
            products - products.mean() + towards_mean - shift,
            self.mean_norm + 2 * float(products.mean()) + shift,
            self.row_sums[rows],
            self.n_units,
            None if self.features is None else self.features[rows],
            self.place,
        )


def inner_products(
    features: np.ndarray, layer: str, sum_weights: Float[np.ndarray, " unit"] | None = None
) -> tuple[Float[np.ndarray, "n n"], Float[np.ndarray, " n"], float, Float[np.ndarray, " n"]]:
    """Gram matrix of the centred features, products with the mean, the mean's norm, and row sums.

    All four add up over blocks of columns, so a layer may come in pieces. Columns are centred before
    the product, for a large mean would swamp a float32 one: roughly in their own precision, then exactly
    by centring the products in float64.

    Parameters
    ----------
    features
        Features (n, unit).
    layer
        Name of the layer, for errors.
    sum_weights
        What each column counts for in the row sums, by default 1.

    Raises
    ------
    ResponsesError
        Values that are NaN, infinite, or so large that their products are.
    """
    n, n_units = features.shape
    weights = np.ones(n_units) if sum_weights is None else sum_weights
    gram, products, row_sums, mean_norm = np.zeros((n, n)), np.zeros(n), np.zeros(n), 0.0
    # Values that are not finite are found in the products; numpy need not warn of them as well.
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, n_units, BLOCK):
            block, weight = features[:, start : start + BLOCK], weights[start : start + BLOCK]
            shift = block.mean(axis=0)
            shifted = block - shift
            gram += shifted @ shifted.T
            exact = shifted.astype(np.float64)
            mean = shift + np.full(n, 1 / n) @ exact
            products += exact @ mean
            row_sums += exact @ weight + shift @ weight
            mean_norm += float(mean @ mean)
        gram, products = _centred(gram), products - products.mean()
    if not (np.isfinite(gram).all() and np.isfinite(products).all() and np.isfinite(mean_norm)):
        raise ResponsesError(
            f"Layer {layer!r} answers with NaN or infinite values, or with values too large to multiply; check "
            "the network's weights and preprocessing, or leave the layer out."
        )
    return gram, products, mean_norm, row_sums


def _centred(gram: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Gram matrix of the features centred on their mean row, from that of the features as they are."""
    towards_mean = gram.mean(axis=1)
    # In one sum, so that the result is exactly symmetric.
    return gram - (towards_mean[:, None] + towards_mean[None, :] - towards_mean.mean())
