"""Neural engagement: how strongly a population is active along the axis in which its trials vary most."""

import numpy as np
from jaxtyping import Float

from brainalign.errors import ResponsesError

Array = np.ndarray


def engagement(
    factors: Array, targets: Array, reference: Array, loadings: Float[Array, "unit factor"]
) -> Float[Array, " trial"]:
    """Give the neural engagement of each trial.

    For each target the axis is the first principal component of the factors in reference trials, turned so that
    along it the units' activity rises on the whole. Values are in standard deviations of the reference trials,
    from their mean (Hennig et al. 2021).

    Parameters
    ----------
    factors
        Mean factors of each trial, shape (trial, factor).
    targets
        Each trial's target.
    reference
        Whether a trial is one of reference, such as those under the intuitive decoder.
    loadings
        From factors to units.

    Raises
    ------
    ResponsesError
        Shapes that do not agree, or a target with fewer than three trials of reference.

    Notes
    -----
    Adapted: they find the axis of time steps and weigh them by the units' loadings; here it is of trial means.
    """
    if factors.ndim != 2 or len(targets) != len(factors) or len(reference) != len(factors):
        raise ResponsesError(
            f"Factors {factors.shape} with {len(targets)} targets; give (trial, factor) and one target a trial."
        )
    found = np.full(len(factors), np.nan)
    for target in np.unique(targets):
        here = targets == target
        known = factors[here & reference]
        if len(known) < 3:
            raise ResponsesError(f"Target {str(target)!r} has {len(known)} trials of reference; 3 are needed.")
        axis = np.linalg.svd(known - known.mean(0), full_matrices=False)[2][0]
        axis = axis * (1 if (loadings @ axis).sum() >= 0 else -1)
        along = known @ axis
        found[here] = (factors[here] @ axis - along.mean()) / along.std(ddof=1)
    return found
