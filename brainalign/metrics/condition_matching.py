r"""Unlabelled conditions: matched on half of the brain's units, compared on the other half."""

from itertools import permutations

import numpy as np
from jaxtyping import Float, Int

from brainalign.errors import ResponsesError
from brainalign.metrics.paired_trajectories import check_pair
from brainalign.metrics.rdm import to_square
from brainalign.metrics.smooth_chance import SmoothProcess, TrajectoryComparison
from brainalign.metrics.trajectory_rsa import TrajectoryRsaKernel

Array = np.ndarray
Order = Int[Array, " condition"]

MOST_EXHAUSTIVE = 6
"""Conditions of which all orders are tried (720); of more, swaps from random starts."""

N_STARTS = 20
"""Random starts of the search by swaps."""


def match(model: Array, brain: Array, times: Array, rng: np.random.Generator) -> Order:
    r"""Assign model conditions one to one to the brain's, by which conditions are alike at each time.

    .. math:: \pi = \arg\max_\pi \sum_t \sum_{i < j} \tilde d^x_t(\pi_i, \pi_j)\, \tilde d^y_t(i, j),

    with :math:`\tilde d_t` the Euclidean dissimilarities of conditions at time t, less their mean over all
    times and pairs. A quadratic assignment: all orders of few conditions, else the best of `N_STARTS` local
    searches, each by the best swap of two until none helps.

    Parameters
    ----------
    model, brain
        Shape (condition, time, unit), conditions in any order.
    times
        In seconds.
    rng
        Makes the random starts.

    Returns
    -------
    :
        π: ``model[π]`` is in the brain's order. Where the model's conditions are as symmetric as reaches to a
        ring of targets, several orders are equally good and it is one of them.

    Raises
    ------
    ResponsesError
        Sides that do not fit: as many conditions are needed on both.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> brain = rng.normal(size=(8, 20, 5))
    >>> match(brain[::-1], brain, np.arange(20) / 100, rng).tolist()
    [7, 6, 5, 4, 3, 2, 1, 0]
    """
    sides = check_pair("Condition matching", model, brain, times)
    x, y = (_centred_dissimilarities(side, times) for side in sides)
    n = len(sides[0])
    if n <= MOST_EXHAUSTIVE:
        orders = [np.array(each) for each in permutations(range(n))]
    else:
        orders = [_best_swaps(x, y, rng.permutation(n)) for _ in range(N_STARTS)]
    return max(orders, key=lambda order: float(np.sum(x[:, order][:, :, order] * y)))


def matched_value(
    kernel: TrajectoryComparison,
    model: Array,
    brain: Array,
    times: Array,
    rng: np.random.Generator,
    n_halves: int = 10,
) -> float:
    """Match conditions on a random half of the brain's units and score the other half; mean over halves.

    Halves of one population share much of their signal, so that a match of chance on one holds in part on the
    other: the value of unrelated data is above zero, and means nothing but beside `matched_chance`.

    Parameters
    ----------
    kernel
        Of the family ``trajectory``.
    model, brain
        Shape (condition, time, unit), conditions in any order.
    times
        In seconds.
    rng
        Draws halves, random starts of the search and what the kernel draws.
    n_halves
        How many times it is done.

    Raises
    ------
    ResponsesError
        Sides that do not fit, a brain of fewer than two units, or no halves.
    """
    model, brain = check_pair("Condition matching", model, brain, times)
    n_units = brain.shape[2]
    if n_units < 2 or n_halves < 1:
        raise ResponsesError(
            f"Condition matching was asked for from {n_units} units of the brain in {n_halves} random "
            "halves; it needs at least two units, one to match conditions by and one to score, and one half "
            "or more."
        )
    values = []
    for _ in range(n_halves):
        units = rng.permutation(n_units)
        to_match, to_score = units[: n_units // 2], units[n_units // 2 :]
        order = match(model, brain[:, :, to_match], times, rng)
        values.append(kernel.compare(model[order], brain[:, :, to_score], times, rng))
    return float(np.mean(values))


def matched_chance(
    kernel: TrajectoryComparison,
    model: Array,
    brain: Array,
    times: Array,
    n: int,
    rng: np.random.Generator,
    n_halves: int = 10,
) -> Float[Array, " draw"]:
    """Match and score random trajectories as smooth as the model's, `n` times: each with a search of its own.

    Permuting the model's conditions would be no null, since the search undoes it. Arguments as for
    `matched_value`; trajectories must be evenly spaced in time (`SmoothProcess`).
    """
    model, brain = check_pair("Condition matching", model, brain, times)
    process = SmoothProcess.fit(model, times)
    return np.array([matched_value(kernel, process.draw(rng), brain, times, rng, n_halves) for _ in range(n)])


def _centred_dissimilarities(side: Array, times: Array) -> Float[Array, "time n n"]:
    condensed = TrajectoryRsaKernel().dissimilarities(side, times)
    return to_square(condensed - condensed.mean())


def _best_swaps(x: Float[Array, "time n n"], y: Float[Array, "time n n"], order: Order) -> Order:
    """Swap the two conditions that gain most, until no swap gains."""
    smallest = 1e-12 * np.linalg.norm(x) * np.linalg.norm(y)
    while True:
        placed = x[:, order][:, :, order]
        product = np.sum(placed @ y, axis=0)
        own = np.diagonal(product)
        # Change of the sum over i < j, when two places exchange their conditions.
        gain = product + product.T - own[:, None] - own + 2 * np.sum(placed * y, axis=0)
        np.fill_diagonal(gain, 0.0)
        first, second = np.unravel_index(np.argmax(gain), gain.shape)
        if gain[first, second] <= smallest:
            return order
        order = order.copy()
        order[[first, second]] = order[[second, first]]
