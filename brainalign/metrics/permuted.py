"""Comparators of RDMs in many orders of the stimuli, by one matrix product an order."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from brainalign.metrics.comparators import (
    normalise_to_ranks,
    normalise_to_unit_length,
    normalise_to_z_scores,
)
from brainalign.metrics.rdm import to_square

Array = np.ndarray


def _to_scaled_ranks(rdms: Float[Array, "matrix pair"]) -> Float[Array, "matrix pair"]:
    """Centre ranks and scale them as ρa does, whatever their ties: variance (p² − 1)/12 over p pairs."""
    n_pairs = rdms.shape[1]
    return (normalise_to_ranks(rdms) - (n_pairs + 1) / 2) * np.sqrt(12 / max(n_pairs**2 - 1, 1))


NORMALISED: dict[str, Callable[[Array], Array]] = {
    "pearson": normalise_to_z_scores,
    "spearman": lambda rdms: normalise_to_z_scores(normalise_to_ranks(rdms)),
    "rho_a": _to_scaled_ranks,
    "cosine": normalise_to_unit_length,
}
"""What each comparator does to an RDM before it takes the mean product over pairs.

None of it depends on the order of the stimuli, so it is done once for all orders.
"""


def permuted_comparison(
    x: Float[Array, "layer pair"],
    y: Float[Array, "subject pair"],
    orders: Int[Array, "permutation stimulus"],
    comparator: str,
) -> Float[Array, "layer permutation"]:
    """Compare layers' RDMs with subjects', averaged over subjects, in each order of the stimuli.

    As each comparator in `NORMALISED` is a mean product over pairs, subjects are averaged first, and an order
    costs one product of a matrix (layer, pair) with a vector.

    Parameters
    ----------
    x, y
        Condensed RDMs of the layers and of the subjects over the same stimuli.
    orders
        The region's stimulus i is compared with the layers' stimulus order[i].
    comparator
        A name in `NORMALISED`.

    Returns
    -------
    :
        NaN for an RDM without a value under the comparator (``rho_a``: 0 for a constant one).
    """
    normalise = NORMALISED[comparator]
    layers = normalise(x) / x.shape[1]
    square = to_square(normalise(y).mean(axis=0))
    first, second = np.triu_indices(len(square), 1)
    values = np.empty((len(x), len(orders)))
    for place, order in enumerate(orders):
        # Carrying the region's stimuli to the layers' moves one RDM, whatever the number of layers.
        back = np.argsort(order)
        values[:, place] = layers @ square[back[first], back[second]]
    return values
