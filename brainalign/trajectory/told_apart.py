"""Whether regions tell costs apart that networks were trained on, and the best cost differs by region."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from brainalign.compare.committed import CommittedRegion
from brainalign.compare.differences import SIGNIFICANT, paired_differences
from brainalign.names import unknown_name
from brainalign.trajectory.cost_table import CostTable, residuals_of

Array = np.ndarray
Table = Float[Array, "*draw cost region"]
Squares = Float[Array, "*draw"] | float

TIE = "tie"
"""What `costs_told_apart` says of two costs that a region does not tell apart."""

SWEEPS = 50
"""Alternations of the fit of a stretched table, which settles in some ten."""


def additive(table: Table) -> Table:
    r"""Fit a table in which each region shifts the same costs: :math:`\mu + \alpha_c + \beta_r`.

    Examples
    --------
    >>> additive(np.array([[1.0, 5.0], [2.0, 6.0]])).tolist()
    [[1.0, 5.0], [2.0, 6.0]]
    """
    rows, columns = table.mean(axis=-1, keepdims=True), table.mean(axis=-2, keepdims=True)
    return rows + columns - table.mean(axis=(-2, -1), keepdims=True)


def proportional(table: Table) -> Table:
    r"""Fit a table in which each region shifts and stretches the same costs: :math:`\beta_r + s_r \alpha_c`.

    With :math:`s_r \ge 0`, so that a region which ranks the costs the other way round is no mere stretch. By
    alternating least squares from equal :math:`s_r`.

    Examples
    --------
    >>> proportional(np.array([[0.0, 5.0], [1.0, 8.0]])).round(9).tolist()
    [[0.0, 5.0], [1.0, 8.0]]
    """
    shifts = table.mean(axis=-2, keepdims=True)
    centred = table - shifts
    costs = centred.mean(axis=-1, keepdims=True)
    for _ in range(SWEEPS):
        stretch = np.maximum(_projected(centred, costs, -2), 0.0)
        costs = _projected(centred, stretch, -1)
    return shifts + costs * np.maximum(_projected(centred, costs, -2), 0.0)


def _projected(table: Array, onto: Array, axis: int) -> Array:
    """Give the least-squares weight of a vector in each line along an axis; 0 where the vector is."""
    squared = (onto**2).sum(axis=axis, keepdims=True)
    return (table * onto).sum(axis=axis, keepdims=True) / np.where(squared > 0, squared, 1.0)


ALIKE: dict[str, Callable[[Table], Table]] = {"shift": additive, "stretch": proportional}
"""What regions may do to the same costs without an interaction: the fit of such a table."""


def cost_effects(table: CostTable, alike: str = "stretch") -> pd.DataFrame:
    r"""Test the effects of cost and region, and their interaction: whether the best cost differs by region.

    .. math:: T = \frac{1}{v} \sum_{cr} (y_{cr} - \hat y_{cr})^2, \qquad p = \frac{1 + \#\{T^* \ge T\}}{1 + N}

    with :math:`y` the means over seeds, :math:`\hat y` the closest table without interaction, and :math:`v` the
    sum of squares that errors alone give a double-centred table, the part of seeds estimated from their
    differences. :math:`T^*` is the same of :math:`\hat y` and each of :math:`N` draws of the errors, :math:`v`
    estimated anew. A main effect has the squares of the means over the other side, around their mean.

    Parameters
    ----------
    table
        From `cost_table`.
    alike
        What is no interaction. ``shift``: regions differ by a constant, :math:`\mu + \alpha_c + \beta_r`, and
        the sum is over the double-centred table. It asks for scores of one metric and scale. ``stretch``:
        by a constant and a factor, :math:`\beta_r + s_r \alpha_c` with :math:`s_r \ge 0`; each region's scores
        are in units of the error of its contrasts, so that regions themselves are not compared.

    Returns
    -------
    pandas.DataFrame
        Columns ``effect`` (cost, region, interaction), ``statistic``, ``p``, ``alike``, ``costs``, ``regions``,
        ``seeds``, ``draws``.

    Raises
    ------
    UnknownNameError
        Another `alike`.
    """
    if alike not in ALIKE:
        raise unknown_name("table without interaction", alike, ALIKE)
    table = _in_units_of_error(table) if alike == "stretch" else table
    (n_costs, n_seeds, n_regions), fit = table.scores.shape, ALIKE[alike]
    values, errors = table.scores.mean(axis=1), table.by_images + table.by_seeds.mean(axis=2)
    again = _shrunk(values, errors, fit) + errors
    tests = {"cost": (_of_costs(values), _of_costs(errors))}
    if alike == "shift":
        tests["region"] = _of_regions(values), _of_regions(errors)
    tests["interaction"] = _squares(values - fit(values)), _squares(again - fit(again))
    facts = {"alike": alike, "costs": n_costs, "regions": n_regions, "seeds": n_seeds, "draws": len(errors)}
    rows = []
    for effect, (found, null) in tests.items():
        of_images = np.mean(SQUARES[effect](table.by_images))
        statistic = found / (of_images + _of_seeds(table.scores, effect))
        against = null / (of_images + _of_seeds(table.by_seeds, effect))
        p = (1 + np.sum(against >= statistic)) / (1 + len(errors))
        rows.append({"effect": effect, "statistic": float(statistic), "p": float(p)} | facts)
    return pd.DataFrame(rows)


def _in_units_of_error(table: CostTable) -> CostTable:
    errors = table.by_images + table.by_seeds.mean(axis=2)
    unit = np.sqrt(((errors - errors.mean(axis=1, keepdims=True)) ** 2).mean(axis=(0, 1)))
    return replace(
        table, scores=table.scores / unit, by_images=table.by_images / unit, by_seeds=table.by_seeds / unit
    )


def _shrunk(
    values: Float[Array, "cost region"], errors: Float[Array, "draw cost region"], fit: Callable[[Table], Table]
) -> Float[Array, "cost region"]:
    """Fit the table without interaction, its costs' effects less what errors alone would make of them."""
    shifts, fitted = values.mean(axis=0), fit(values)
    of_errors = (fit(errors) - errors.mean(axis=1, keepdims=True)) ** 2
    squares = float(((fitted - shifts) ** 2).sum())
    share = 1 - of_errors.sum(axis=(1, 2)).mean() / squares if squares > 0 else 0.0
    return shifts + (fitted - shifts) * np.sqrt(max(share, 0.0))


def _squares(table: Table) -> Squares:
    return (table**2).sum(axis=(-2, -1))


def _of_costs(table: Table) -> Squares:
    return table.mean(axis=-1).var(axis=-1) * table.shape[-2]


def _of_regions(table: Table) -> Squares:
    return table.mean(axis=-2).var(axis=-1) * table.shape[-1]


SQUARES: dict[str, Callable[[Table], Squares]] = {
    "cost": _of_costs,
    "region": _of_regions,
    "interaction": lambda table: _squares(table - additive(table)),
}


def _of_seeds(scores: Float[Array, "*draw cost seed region"], effect: str) -> Squares:
    """Give the sum of squares that errors over seeds alone would have, from the differences between seeds."""
    n_costs, n_seeds, _ = scores.shape[-3:]
    residuals = residuals_of(scores)
    means = residuals.mean(axis=-1, keepdims=True)
    squares = ((means if effect == "cost" else residuals - means) ** 2).sum(axis=(-3, -2, -1))
    variance = squares / max(n_costs * (n_seeds - 1), 1)
    return variance / n_seeds * (1 / n_costs if effect == "region" else n_costs - 1)


def costs_told_apart(regions: Sequence[CommittedRegion]) -> pd.DataFrame:
    """Say of each pair of costs, controls among them, whether each region tells them apart.

    Returns
    -------
    pandas.DataFrame
        `paired_differences` of each region, after ``recording, region, metric``, and ``verdict``: the better of
        the two where ``p_holm`` (over the pairs of the region) is under .05, else ``tie``.
    """
    tables = []
    for region in regions:
        table = paired_differences(region.entries, region.resamples)
        apart = table["p_holm"] < SIGNIFICANT
        better = table["network"].where(table["difference"] > 0, table["other"])
        table.insert(0, "recording", region.recording)
        table.insert(1, "region", region.region)
        table.insert(2, "metric", region.metric)
        tables.append(table.assign(verdict=better.where(apart, TIE)))
    return pd.concat(tables, ignore_index=True)
