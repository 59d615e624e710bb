"""What one layer's answer to n stimuli comes down to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainalign.errors import AlignmentError, ResponsesError
from brainalign.probing.gram_sums import centred, inner_products


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
        raw = np.add.outer(self.mean_products, self.mean_products)
        raw += self.gram
        raw += self.mean_norm
        return raw

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
            centred(gram),
            products - products.mean() + towards_mean - shift,
            self.mean_norm + 2 * float(products.mean()) + shift,
            self.row_sums[rows],
            self.n_units,
            None if self.features is None else self.features[rows],
            self.place,
        )
