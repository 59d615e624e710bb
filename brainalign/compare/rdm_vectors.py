"""RDMs as vectors of which the comparator is the inner product, in any order of the stimuli."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

from brainalign.metrics.comparators import COMPARATORS
from brainalign.metrics.rsa import RdmKernel
from brainalign.metrics.whitened import whiten

Rdms = Float[np.ndarray, "rdm pair"]
Vectors = Float[np.ndarray, "rdm entry"]


def as_vectors(rdms: Rdms, comparator: str) -> Vectors:
    """Bring RDMs into the form in which the comparator of two is their inner product.

    Zeros for an RDM that is NaN, or of which the comparator is undefined (`is_undefined`). A new order of the
    stimuli is a new order of the entries.
    """
    known = np.where(is_undefined(rdms, comparator)[:, None], 0.0, rdms)
    return _VECTORS[comparator](known)


def is_undefined(rdms: Rdms, comparator: str) -> np.ndarray:
    """Say of which RDMs the comparator is undefined: constant ones, or zero ones if zero means something."""
    lowest, highest = rdms.min(axis=1), rdms.max(axis=1)
    nothing = (lowest == 0) & (highest == 0) if COMPARATORS[comparator].absolute else lowest == highest
    return nothing | np.isnan(lowest)


def is_inner_product(kernel: RdmKernel) -> bool:
    """Say whether the comparator is an inner product of what each RDM, by itself, can be brought into."""
    return kernel.comparator in _VECTORS and kernel.stimulus_noise == "equal"


def in_orders(vectors: Vectors, orders: Int[np.ndarray, "order n"]) -> Float[np.ndarray, "order rdm entry"]:
    """Entries of the vectors, were the stimuli in each of these orders."""
    n = orders.shape[1]
    rows, columns = np.triu_indices(n, 1)
    place = np.arange(n * n).reshape(n, n)
    if vectors.shape[1] == len(rows):
        place[rows, columns] = place[columns, rows] = np.arange(len(rows))
        entries = place[orders[:, rows], orders[:, columns]]
    else:
        # Whitened RDMs are whole matrices.
        entries = place[orders[:, :, None], orders[:, None, :]].reshape(len(orders), -1)
    return np.ascontiguousarray(vectors[:, entries].transpose(1, 0, 2))


def _unit_length(vectors: Vectors) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)


def _centred(rdms: Vectors) -> Vectors:
    return rdms - rdms.mean(axis=1, keepdims=True)


def _rho_a(rdms: Rdms) -> Vectors:
    n_pairs = rdms.shape[1]
    return _centred(rankdata(rdms, axis=1)) * np.sqrt(12 / (n_pairs**3 - n_pairs))


_VECTORS: dict[str, Callable[[Rdms], Vectors]] = {
    "pearson": lambda rdms: _unit_length(_centred(rdms)),
    "spearman": lambda rdms: _unit_length(_centred(rankdata(rdms, axis=1))),
    "rho_a": _rho_a,
    "cosine": _unit_length,
    "cosine_cov": lambda rdms: _unit_length(whiten(rdms)),
    "corr_cov": lambda rdms: _unit_length(whiten(_centred(rdms))),
}
