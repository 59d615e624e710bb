"""Optimal transport between network units and units of a region, exact."""

import numpy as np
from jaxtyping import Float, Int

from brainalign.errors import BrainalignError

Array = np.ndarray

MOST_PIVOTS = 10**9
"""Far more than the network simplex takes for as many pairs as memory holds."""


def transport_plan(
    profit: Float[Array, "source target"], supply: Int[Array, " source"] | None = None
) -> tuple[Int[Array, " pair"], Int[Array, " pair"], Float[Array, " pair"]]:
    """Plan T that maximises Σ Tᵢⱼ pᵢⱼ, all targets receiving the same and source i giving by its supply.

    POT's network simplex (Bonneel et al. 2011; Flamary et al. 2021). Masses go in as whole numbers, which
    float64 adds up without rounding, so that at most targets − 1 sources are shared and none gives a rest.

    Parameters
    ----------
    profit
        Profit of each pair, finite.
    supply
        What each source gives, whole numbers; by default all give the same.

    Returns
    -------
    tuple of numpy.ndarray
        Source, target and mass of each pair that the plan joins; masses add up to 1.

    Raises
    ------
    BrainalignError
        The plan was not found.

    Examples
    --------
    >>> profit = np.array([[0.9, 0.1], [0.8, 0.7], [0.2, 0.3]])
    >>> sources, targets, mass = transport_plan(profit)
    >>> sources.tolist(), targets.tolist(), (6 * mass).round(9).tolist()
    ([0, 1, 1, 2], [0, 0, 1, 1], [2.0, 1.0, 1.0, 2.0])
    """
    import ot  # Here, for it imports every array library that it finds.

    n_sources, n_targets = profit.shape
    given = np.ones(n_sources) if supply is None else supply.astype(np.float64)
    received = np.full(n_targets, given.sum())
    costs = profit.max() - profit
    plan, log = ot.emd(given * n_targets, received, costs, numItermax=MOST_PIVOTS, log=True)
    if log["warning"]:
        raise BrainalignError(
            f"No optimal plan was found for {n_sources} × {n_targets} units: {log['warning']}"
        )
    sources, targets = np.nonzero(plan)
    return sources, targets, plan[sources, targets] / received.sum()
