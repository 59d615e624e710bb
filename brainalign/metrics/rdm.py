"""Representational dissimilarity matrices (RDMs) from a Gram matrix, and the shapes they come in."""

from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64
from scipy.spatial.distance import pdist

from brainalign.errors import ResponsesError
from brainalign.names import snake_case, unknown_name

VARIANCE_FLOOR = 1e-12
"""A pattern whose variance across units is at most this share of its mean square has no variance.

Below it the difference of the two is rounding: correlation distance would be made of noise.
"""

Gram = Float64[np.ndarray, "stimulus stimulus"]
RowSums = Float64[np.ndarray, " stimulus"]
Condensed = Float64[np.ndarray, " pair"]
Dissimilarity = Callable[[Gram, RowSums, int], Condensed]


def squared_euclidean(raw_gram: Gram, row_sums: RowSums, n_units: int) -> Condensed:
    r"""Squared Euclidean distance a unit: :math:`d_{ij} = \sum_u (x_{iu} - x_{ju})^2 / p`.

    In the square of the features' unit. The mean over the p units, as in ``rsatoolbox``'s method
    ``euclidean``, so that layers of different width are on one scale. Any centring of the features
    gives the same distances; a centred Gram matrix loses fewer digits.

    Examples
    --------
    >>> x = np.array([[0.0, 0.0], [3.0, 4.0]])
    >>> squared_euclidean(x @ x.T, x.sum(axis=1), 2)
    array([12.5])
    """
    lengths = np.diagonal(raw_gram)
    squared = lengths[:, None] + lengths - 2 * raw_gram
    # Two equal patterns can come out a rounding error below zero.
    return np.maximum(to_condensed(squared) / n_units, 0.0)


def euclidean(raw_gram: Gram, row_sums: RowSums, n_units: int) -> Condensed:
    r"""Euclidean distance, the root of `squared_euclidean`: :math:`\lVert x_i - x_j\rVert / \sqrt{p}`."""
    return np.sqrt(squared_euclidean(raw_gram, row_sums, n_units))


def correlation(raw_gram: Gram, row_sums: RowSums, n_units: int) -> Condensed:
    r"""Correlation distance: :math:`d_{ij} = 1 - r(x_i, x_j)` across units, in [0, 2].

    .. math:: p\,\mathrm{cov}(x_i, x_j) = x_i \cdot x_j - s_i s_j / p,

    with :math:`s_i` the sum of pattern i over its p units.

    Raises
    ------
    ResponsesError
        Patterns without variance across units (`VARIANCE_FLOOR`): their correlation is undefined.
    """
    _raise_if_undefined(raw_gram, row_sums, n_units, "correlation")
    return _one_minus_cosine(_covariances(raw_gram, row_sums, n_units))


def cosine(raw_gram: Gram, row_sums: RowSums, n_units: int) -> Condensed:
    r"""Cosine distance: :math:`d_{ij} = 1 - x_i \cdot x_j / (\lVert x_i\rVert \lVert x_j\rVert)`, in [0, 2].

    Raises
    ------
    ResponsesError
        Patterns that are zero in every unit: they have no direction.
    """
    _raise_if_undefined(raw_gram, row_sums, n_units, "cosine")
    return _one_minus_cosine(raw_gram)


RDM_METHODS: dict[str, Dissimilarity] = {
    "euclidean": euclidean,
    "squared_euclidean": squared_euclidean,
    "correlation": correlation,
    "cosine": cosine,
}
"""Kernels from (Gram matrix of the uncentred features, their row sums, number of units)."""

_PDIST_METRICS: dict[str, Literal["euclidean", "sqeuclidean", "correlation", "cosine"]] = {
    "euclidean": "euclidean",
    "squared_euclidean": "sqeuclidean",
    "correlation": "correlation",
    "cosine": "cosine",
}


def find_rdm_method(name: str, also: Iterable[str] = ()) -> str:
    """Give the catalogue's name of an RDM method, or of one that is known `also`; hyphens allowed.

    Examples
    --------
    >>> find_rdm_method("squared-euclidean")
    'squared_euclidean'
    """
    method = snake_case(name)
    known = [*RDM_METHODS, *also]
    if method not in known:
        raise unknown_name("RDM method", name, known)
    return method


def rdm_from_features(features: Float[np.ndarray, "stimulus unit"], method: str) -> Condensed:
    """Dissimilarities of all pairs of patterns, computed directly from the features in float64.

    The plain form for recorded responses, where units are few; the same values as `RDM_METHODS` give.

    Parameters
    ----------
    features
        One pattern a stimulus.
    method
        A name in `RDM_METHODS`.

    Raises
    ------
    ResponsesError
        Values that are not finite, or patterns for which the method is undefined.

    Examples
    --------
    >>> rdm_from_features(np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]), "correlation")
    array([2.])
    """
    method = find_rdm_method(method)
    values = np.asarray(features, dtype=np.float64)
    n_units = values.shape[1]
    if n_units < 1 or not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        raise ResponsesError(
            f"An RDM was asked for from {n_units} units, with values that are not finite in the stimuli at "
            f"{_listed(bad)}; leave out these stimuli or the units concerned."
        )
    if method in _UNDEFINED:
        _raise_if_undefined(values @ values.T, values.sum(axis=1), n_units, method)
    distances = pdist(values, metric=_PDIST_METRICS[method])
    scale = {"euclidean": np.sqrt(n_units), "squared_euclidean": n_units}.get(method, 1.0)
    return np.maximum(distances / scale, 0.0)


def to_condensed(square: Float[np.ndarray, "*stack n n"]) -> Float[np.ndarray, "*stack pair"]:
    """Take the row-major upper triangle, without the diagonal, of one RDM or a stack of them."""
    # Row by row: several times faster than by the indices of the triangle.
    rows = [square[..., row, row + 1 :] for row in range(square.shape[-1])]
    return np.concatenate(rows, axis=-1)


def to_square(condensed: Float[np.ndarray, "*stack pair"]) -> Float[np.ndarray, "*stack n n"]:
    """Make symmetric matrices with a zero diagonal from upper triangles; the inverse of `to_condensed`.

    Raises
    ------
    ResponsesError
        A number of pairs that no number of stimuli has.
    """
    n = n_stimuli_of(condensed.shape[-1])
    rows, columns = np.triu_indices(n, 1)
    square = np.zeros((*condensed.shape[:-1], n, n), dtype=condensed.dtype)
    square[..., rows, columns] = condensed
    square[..., columns, rows] = condensed
    return square


def n_stimuli_of(n_pairs: int) -> int:
    """Count the stimuli that have so many pairs.

    Examples
    --------
    >>> n_stimuli_of(4186)
    92
    """
    n = round((1 + np.sqrt(1 + 8 * n_pairs)) / 2)
    if n * (n - 1) // 2 != n_pairs:
        raise ResponsesError(
            f"{n_pairs} dissimilarities are no upper triangle: {n} stimuli have {n * (n - 1) // 2} pairs. "
            "Give the row-major upper triangle without the diagonal."
        )
    return n


def _covariances(raw_gram: np.ndarray, row_sums: np.ndarray, n_units: int) -> np.ndarray:
    covariances = np.outer(row_sums, row_sums / -n_units)
    covariances += raw_gram
    return covariances


def _flat(raw_gram: np.ndarray, row_sums: np.ndarray, n_units: int) -> np.ndarray:
    lengths = np.diagonal(raw_gram)
    return lengths - row_sums**2 / n_units <= VARIANCE_FLOOR * lengths


def _silent(raw_gram: np.ndarray, row_sums: np.ndarray, n_units: int) -> np.ndarray:
    return np.diagonal(raw_gram) <= 0


_UNDEFINED = {"correlation": _flat, "cosine": _silent}


def _one_minus_cosine(products: np.ndarray) -> np.ndarray:
    lengths = np.sqrt(np.diagonal(products))
    cosines = np.outer(lengths, lengths)
    cosines = to_condensed(np.divide(products, cosines, out=cosines))
    np.clip(cosines, -1.0, 1.0, out=cosines)
    return np.subtract(1.0, cosines, out=cosines)


def _raise_if_undefined(raw_gram: np.ndarray, row_sums: np.ndarray, n_units: int, method: str) -> None:
    undefined = np.flatnonzero(_UNDEFINED[method](raw_gram, row_sums, n_units))
    if len(undefined):
        what = "are zero in every unit" if method == "cosine" else "do not vary across units"
        raise ResponsesError(
            f"The patterns of {len(undefined)} of {len(raw_gram)} stimuli {what}, at {_listed(undefined)}, so "
            f"their {method} distance is undefined. Leave out these stimuli, or use the method 'euclidean'."
        )


def _listed(indices: np.ndarray) -> str:
    shown = ", ".join(str(i) for i in indices[:10])
    return f"index {shown}" + (", …" if len(indices) > 10 else "")
