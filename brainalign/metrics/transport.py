"""Optimal transport between many network units and few units of a region, exact in the smaller side."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

Array = np.ndarray

ROUNDING = 1e-12
"""A detour is worth its while only if it gains more than rounding does."""

FEWEST_A_TARGET = 4
"""Sources for each target under which a problem is solved without a smaller one first."""


def transport_plan(
    profit: Float[Array, "source target"], supply: Int[Array, " source"] | None = None
) -> tuple[Int[Array, " pair"], Int[Array, " pair"], Float[Array, " pair"]]:
    """Plan T that maximises Σ Tᵢⱼ pᵢⱼ, all targets receiving the same and source i giving by its supply.

    Successive shortest paths (Jewell 1958; Ahuja, Magnanti & Orlin 1993, section 9.7): each source first
    goes to its best target at the current prices, which is optimal but for the targets' shares; then
    what a target has too much is passed on along the path of targets that loses least. A source stands
    between two targets only by the least that one of the sources at the first loses at the second, so paths
    run over the targets alone. Prices come from half of the sources, and theirs from half of those, so
    that few units are left to pass on. In whole numbers, so the plan is exact, at most targets − 1
    sources are shared, and its optimality is that of the profits in float64.

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

    Notes
    -----
    Memory is that of `profit`. Time grows as sources × targets, and with every source to be passed on, of
    which there are some √(sources × targets), by targets².

    Examples
    --------
    >>> profit = np.array([[0.9, 0.1], [0.8, 0.7], [0.2, 0.3]])
    >>> sources, targets, mass = transport_plan(profit)
    >>> sources.tolist(), targets.tolist(), (6 * mass).round(9).tolist()
    ([0, 1, 1, 2], [0, 0, 1, 1], [2.0, 1.0, 1.0, 2.0])
    """
    n_sources, n_targets = profit.shape
    given = np.ones(n_sources, dtype=np.int64) if supply is None else supply.astype(np.int64)
    held = _solve(np.ascontiguousarray(profit), given * n_targets)
    pairs = sorted((source, target, mass) for target, own in enumerate(held) for source, mass in own.items())
    sources, targets, mass = (np.array(column) for column in zip(*pairs, strict=True))
    return sources, targets, mass / (given.sum() * n_targets)


def _solve(
    profit: Float[Array, "source target"], supply: Int[Array, " source"], least: int = 1
) -> list[dict[int, int]]:
    """Give what each target holds of each source, once no two targets are off by `least` in opposite ways."""
    n_sources, n_targets = profit.shape
    prices = np.zeros(n_targets)
    if n_sources > FEWEST_A_TARGET * n_targets:
        half = profit[::2]
        whole = np.full(len(half), n_targets)
        prices = _prices(half, _solve(half, whole, least=n_targets))
    held: list[dict[int, int]] = [{} for _ in range(n_targets)]
    for source, target in enumerate(np.argmax(profit - prices, axis=1).tolist()):
        held[target][source] = int(supply[source])
    excess = np.array([sum(own.values()) for own in held]) - int(supply.sum()) // n_targets
    loss, cheapest = _losses(profit, held, range(n_targets))
    # Whole sources first: parts of sources would be passed on in as many steps as there are parts.
    for portion in dict.fromkeys((n_targets, least)):
        while (excess >= portion).any() and (excess <= -portion).any():
            path = _shortest_path(loss, excess >= portion, excess <= -portion)
            amount = _pass_on(
                held, cheapest, path, int(min(excess[path[0]], -excess[path[-1]])) // portion * portion
            )
            excess[path[0]] -= amount
            excess[path[-1]] += amount
            loss[path], cheapest[path] = _losses(profit, held, path)
    return held


def _pass_on(
    held: list[dict[int, int]], cheapest: Int[Array, "target target"], path: list[int], most: int
) -> int:
    """Pass as much as there is, at most `most`, along a path of targets; return how much."""
    steps = [(start, end, int(cheapest[start, end])) for start, end in zip(path[:-1], path[1:], strict=True)]
    amount = min([most, *(held[start][source] for start, _, source in steps)])
    for start, end, source in steps:
        held[start][source] -= amount
        if not held[start][source]:
            del held[start][source]
        held[end][source] = held[end].get(source, 0) + amount
    return amount


def _losses(
    profit: Float[Array, "source target"], held: list[dict[int, int]], targets: Sequence[int]
) -> tuple[Float[Array, "row target"], Int[Array, "row target"]]:
    """Least that a source of each target loses at each other target, and which source that is."""
    n_targets = profit.shape[1]
    loss = np.full((len(targets), n_targets), np.inf)
    cheapest = np.zeros((len(targets), n_targets), dtype=np.int64)
    for row, target in enumerate(targets):
        if held[target]:
            sources = np.fromiter(held[target], dtype=np.int64)
            of_each = profit[sources, target][:, None] - profit[sources]
            best = np.argmin(of_each, axis=0)
            loss[row] = of_each[best, np.arange(n_targets)]
            cheapest[row] = sources[best]
    return loss, cheapest


def _shortest_path(loss: Float[Array, "target target"], start: Array, end: Array) -> list[int]:
    """Targets on the way of least loss from one of those marked as start to one of those marked as end."""
    distance, before = _distances(loss, np.where(start, 0.0, np.inf))
    path = [int(np.argmin(np.where(end, distance, np.inf)))]
    while before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return path[::-1]


def _prices(profit: Float[Array, "source target"], held: list[dict[int, int]]) -> Float[Array, " target"]:
    """Prices at which every source is where it gains most: profit less price."""
    loss, _ = _losses(profit, held, range(profit.shape[1]))
    return -_distances(loss, np.zeros(profit.shape[1]))[0]


def _distances(
    loss: Float[Array, "target target"], distance: Float[Array, " target"]
) -> tuple[Float[Array, " target"], Int[Array, " target"]]:
    """Least loss on a way to each target, and the target before it there (Bellman–Ford)."""
    n_targets = len(loss)
    distance, before = distance.copy(), np.full(n_targets, -1)
    nearer = np.flatnonzero(np.isfinite(distance))
    for _ in range(n_targets):
        through = distance[nearer, None] + loss[nearer]
        nearest = np.argmin(through, axis=0)
        shortest = through[nearest, np.arange(n_targets)]
        better = np.flatnonzero(shortest < distance - ROUNDING)
        if not len(better):
            break
        distance[better], before[better] = shortest[better], nearer[nearest[better]]
        nearer = better
    return distance, before
