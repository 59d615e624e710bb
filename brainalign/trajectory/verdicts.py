"""What tests of whether a network optimises a cost decide by, and how they say it."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from brainalign.compare.resampling import interval
from brainalign.tasks.task import Task
from brainalign.training import Run

SIGNIFICANT = 0.05


def t_interval(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    r"""Give the 95 % interval :math:`\bar x \pm t_{0.975, n-1}\, s / \sqrt n`, of two values or more.

    Examples
    --------
    >>> low, high = t_interval(np.array([0.9, 1.0, 1.1]))
    >>> round(low, 3), round(high, 3)
    (0.752, 1.248)
    """
    return interval(float(values.mean()), float(values.var(ddof=1) / len(values)), len(values) - 1.0)


def share_as_large(found: float, null: Float[np.ndarray, " draw"]) -> float:
    """Give the p-value (1 + #≥) / (1 + N) of a value among N draws under a null; NaN of NaN.

    Examples
    --------
    >>> share_as_large(2.0, np.array([1.0, 2.0, 0.0]))
    0.5
    """
    return float("nan") if np.isnan(found) else float((1 + (null >= found).sum()) / (1 + len(null)))


def with_verdict(
    data: xr.Dataset, run: Run, test: str, cost: Task, passes: bool, verdict: str, **more: object
) -> xr.Dataset:
    """Add what was tested and what came of it; `passes` is 1 or 0, which files can hold."""
    return data.assign_attrs(
        test=test,
        cost=cost.name,
        network=run.settings.network,
        rule=run.settings.rule,
        seed=run.settings.seed,
        passes=int(passes),
        verdict=verdict,
        **more,
    )
