"""Inner products of a layer's features, added up block of columns by block of columns."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float

from brainalign.errors import ResponsesError

BLOCK = 4096
"""Columns of one float32 product before it is added up in float64; the same whatever the memory."""

ROWS = 64
"""Rows of a strip."""

InnerProducts = tuple[Float[np.ndarray, "n n"], Float[np.ndarray, " n"], float, Float[np.ndarray, " n"]]


class GramSums:
    """Gram matrix of the centred features, products with the mean, the mean's norm, and row sums.

    All four are sums over columns, so the features X may come in blocks. With s each column's mean as
    rounded in its own precision and X̃ = X − 1sᵀ, which a large mean does not swamp, what is added up is
    X̃X̃ᵀ, X̃s, X̃w, s·s and s·w; the mean of X̃ that rounding has left, δ, is taken out in the end, for
    X̃δ, s·δ and δ·δ are means of X̃X̃ᵀ and X̃s. Adds n² numbers a block to its n²·columns multiply-adds,
    half of which the symmetric product saves.

    Parameters
    ----------
    n_stimuli
        Rows.
    device
        Where the products are computed.
    double
        Compute the products of float32 features in float64.
    """

    def __init__(self, n_stimuli: int, device: torch.device | None = None, double: bool = False):
        self._double = double
        self._gram = np.zeros((n_stimuli, n_stimuli))
        self._shifted = np.empty((n_stimuli, 0))
        self._on_device: torch.Tensor | None = None
        if device is not None and device.type != "cpu":
            self._on_device = torch.zeros(self._gram.shape, dtype=torch.float64, device=device)
        self._sides = np.zeros((n_stimuli, 2))
        self._mean_norm = self._mean_sum = 0.0

    def add(self, block: Float[np.ndarray, "n column"], weights: Float[np.ndarray, " column"]) -> None:
        """Add columns; `weights` is what each counts for in the row sums."""
        block = block.astype(np.float64) if self._double else block
        # Values that are not finite are found in the products; numpy need not warn of them as well.
        with np.errstate(invalid="ignore", over="ignore"):
            shift = block.mean(axis=0)
            exact = shift.astype(np.float64)
            sides = np.column_stack([exact, weights])
            shifted = self._memory_like(block)
            for rows in strips(len(block)):
                np.subtract(block[rows], shift, out=shifted[rows])
                # Large means make large sums, of which little is left where a distance needs their differences.
                self._sides[rows] += shifted[rows].astype(np.float64) @ sides
            self._mean_norm += float(exact @ exact)
            self._mean_sum += float(exact @ weights)
            if self._on_device is None:
                # Of a matrix and its own transpose NumPy computes one triangle. (SciPy's BLAS is another
                # library: its threads and NumPy's, each waiting for work, take the processor from each other.)
                product = shifted @ shifted.T
                for rows in strips(len(product)):
                    self._gram[rows, rows.start :] += product[rows, rows.start :]
            else:
                there = torch.from_numpy(shifted).to(self._on_device.device)
                self._on_device += there @ there.T

    def _memory_like(self, block: np.ndarray) -> np.ndarray:
        """Give memory that is there from block to block: fresh pages cost more than what is done in them."""
        if self._shifted.shape != block.shape or self._shifted.dtype != block.dtype:
            self._shifted = np.empty_like(block, order="C")
        return self._shifted

    def result(self, layer: str) -> InnerProducts:
        """Give C Cᵀ, C μ, μ·μ and X w, with μ the mean row of X and C = X − 1μᵀ.

        Raises
        ------
        ResponsesError
            Values that are NaN, infinite, or so large that their products are; the layer is named.
        """
        gram = _mirrored(self._gram) if self._on_device is None else self._on_device.cpu().numpy()
        products, row_sums = self._sides.T
        with np.errstate(invalid="ignore", over="ignore"):
            towards_rest, rest = gram.mean(axis=1), float(gram.mean())
            mean_norm = self._mean_norm + 2 * float(products.mean()) + rest
            products = products - products.mean() + towards_rest - rest
            gram = centred(gram)
        if not (np.isfinite(gram).all() and np.isfinite(products).all() and np.isfinite(mean_norm)):
            raise ResponsesError(
                f"Layer {layer!r} answers with NaN or infinite values, or with values too large to multiply; "
                "check the network's weights and preprocessing, or leave the layer out."
            )
        return gram, products, mean_norm, row_sums + self._mean_sum


def _mirrored(upper: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Fill in what lies below the diagonal, in place."""
    for rows in strips(len(upper)):
        upper[rows, : rows.start] = upper[: rows.start, rows].T
        corner = np.triu(upper[rows, rows])
        upper[rows, rows] = corner + np.triu(corner, 1).T
    return upper


def inner_products(
    features: Float[np.ndarray, "n unit"],
    layer: str,
    sum_weights: Float[np.ndarray, " unit"] | None = None,
    double: bool = False,
) -> InnerProducts:
    """Inner products of features that are at hand whole; see `GramSums`."""
    sums = GramSums(len(features), double=double)
    weights = np.ones(features.shape[1]) if sum_weights is None else sum_weights
    for start in range(0, features.shape[1], BLOCK):
        sums.add(features[:, start : start + BLOCK], weights[start : start + BLOCK])
    return sums.result(layer)


def centred(gram: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Gram matrix of the features centred on their mean row, from that of the features as they are."""
    towards_mean = gram.mean(axis=1)
    shift = towards_mean - towards_mean.mean()
    result = np.empty_like(gram)
    for rows in strips(len(gram)):
        # In one sum, so that the result is exactly symmetric.
        np.subtract(gram[rows], towards_mean[rows, None] + shift, out=result[rows])
    return result


def strips(n: int) -> Iterator[slice]:
    """Part n rows into strips few enough to stay in the processor's cache from one step to the next."""
    for start in range(0, n, ROWS):
        yield slice(start, min(start + ROWS, n))
