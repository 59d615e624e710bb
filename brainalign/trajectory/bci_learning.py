"""What learning a brain-computer interface changes in a population: tuning, subspaces, repertoire."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from sklearn.neighbors import NearestNeighbors

from brainalign.errors import ResponsesError
from brainalign.metrics.preferred_directions import cosine_tuning
from brainalign.metrics.subspaces import alignment_index

Array = np.ndarray


def tuning_change(before: Array, after: Array, angles_before: Array, angles_after: Array) -> pd.DataFrame:
    """Give each unit's cosine tuning to the direction of movement before and after learning.

    Parameters
    ----------
    before, after
        Activity, shape (sample, unit).
    angles_before, angles_after
        Each sample's direction to the target, in degrees.

    Returns
    -------
    pandas.DataFrame
        A row a unit: ``unit``; ``preferred_before``, ``preferred_after`` and ``turned``, how far it turned
        counter-clockwise, −180 to 180 degrees; ``depth_before``, ``depth_after``; ``baseline_before``,
        ``baseline_after``.

    Raises
    ------
    ResponsesError
        Shapes that do not agree, NaN, or fewer than three directions.
    """
    _check(before, after)
    one, two = cosine_tuning(before, angles_before), cosine_tuning(after, angles_after)
    return pd.DataFrame(
        {
            "unit": np.arange(before.shape[1]),
            "preferred_before": one.preferred,
            "preferred_after": two.preferred,
            "turned": (two.preferred - one.preferred + 180) % 360 - 180,
            "depth_before": one.depth,
            "depth_after": two.depth,
            "baseline_before": one.baseline,
            "baseline_after": two.baseline,
        }
    )


def subspace_overlap(before: Array, after: Array, n_components: int = 10) -> float:
    """Give the variance after learning that the leading dimensions before it hold, of what so many could hold.

    See `brainalign.metrics.subspaces.alignment_index`; 1 where activity stays in its manifold.

    Raises
    ------
    ResponsesError
        Shapes that do not agree, NaN, or more components than dimensions.
    """
    _check(before, after)
    if not 1 <= n_components <= before.shape[1]:
        raise ResponsesError(f"{n_components} components were asked for of {before.shape[1]} units.")
    basis = np.linalg.eigh(np.cov(before.T))[1][:, -n_components:]
    return float(alignment_index(basis, np.cov(after.T)))


def decoded_share(patterns: Array, decoder: Array) -> float:
    """Give the share of a population's variance in the row space of a decoder, which moves the cursor.

    Examples
    --------
    >>> round(decoded_share(np.array([[3.0, 1.0], [-3.0, 1.0], [0.0, -2.0]]), np.array([[2.0, 0.0]])), 2)
    0.75
    """
    _check(patterns, patterns)
    if decoder.ndim != 2 or decoder.shape[1] != patterns.shape[1]:
        raise ResponsesError(
            f"A decoder {decoder.shape} does not fit {patterns.shape[1]} units; give (output, unit)."
        )
    basis = np.linalg.svd(decoder, full_matrices=False)[2]
    centred = patterns - patterns.mean(0)
    return float(((centred @ basis.T) ** 2).sum() / (centred**2).sum())


def nearest_distances(
    patterns: Float[Array, "sample unit"], repertoire: Float[Array, "known unit"]
) -> Float[Array, " sample"]:
    """Give each pattern's distance to the nearest one of a repertoire.

    Examples
    --------
    >>> nearest_distances(np.array([[0.0, 3.0]]), np.array([[0.0, 0.0], [4.0, 0.0]])).tolist()
    [3.0]
    """
    return NearestNeighbors(n_neighbors=1).fit(repertoire).kneighbors(patterns)[0][:, 0]


@dataclass(frozen=True)
class RepertoireChange:
    """How activity changed in learning: the patterns there are, and those of each movement.

    Parameters
    ----------
    repertoire
        Mean distance of a pattern after learning to the nearest one before it, for whatever movement, over that
        of patterns before learning to others before it: 1 for no new patterns.
    clouds
        How far the mean pattern of a movement shifts, over the root mean square distance of single patterns
        from it before learning, averaged over movements: 0 for no change.
    """

    repertoire: float
    clouds: float


def repertoire_change(
    before: Array, after: Array, movements_before: Array, movements_after: Array, rng: np.random.Generator
) -> RepertoireChange:
    """Tell whether learning made new patterns, or used those there were for other movements.

    Golub et al. (2018): a population that reassociates keeps its repertoire, while the patterns of each
    movement change; one that realigns makes new patterns. The samples before learning are halved, so that
    patterns after it and the other half before it face as many candidates.

    Parameters
    ----------
    before, after
        Patterns, such as factors, shape (sample, unit).
    movements_before, movements_after
        The movement of each sample; those of both are compared.
    rng
        Halves the samples.

    Raises
    ------
    ResponsesError
        Shapes that do not agree, NaN, no movement in common, or under four samples of one.

    Notes
    -----
    Adapted: Golub et al. compare both with what models of learning predict; here with halves of the samples
    before learning (`against_halves`).
    """
    _check(before, after)
    movements = np.intersect1d(movements_before, movements_after)
    if not len(movements) or min((movements_before == each).sum() for each in movements) < 4:
        raise ResponsesError(
            "A change of repertoire needs movements in common, with four samples or more before learning."
        )
    order = rng.permutation(len(before))
    known, others = before[order[::2]], before[order[1::2]]
    repertoire = nearest_distances(after, known).mean() / nearest_distances(others, known).mean()
    clouds = [_shift(before[movements_before == each], after[movements_after == each]) for each in movements]
    return RepertoireChange(float(repertoire), float(np.mean(clouds)))


def _shift(before: Array, after: Array) -> float:
    centre = before.mean(0)
    return float(np.linalg.norm(after.mean(0) - centre) / np.sqrt(((before - centre) ** 2).sum(1).mean()))


def against_halves(
    change: Callable[[Array, Array], float], n_before: int, n_draws: int, rng: np.random.Generator
) -> Float[Array, " draw"]:
    """Give a measure of change between random halves of the samples before learning, where nothing changed.

    Parameters
    ----------
    change
        From the numbers of the samples in one half and in the other to the measure.
    n_before
        Samples before learning.
    n_draws
        How many times they are halved.
    rng
        Halves them.
    """
    values = []
    for _ in range(n_draws):
        order = rng.permutation(n_before)
        values.append(change(order[::2], order[1::2]))
    return np.array(values)


def _check(before: Array, after: Array) -> None:
    if before.ndim != 2 or after.ndim != 2 or before.shape[1] != after.shape[1]:
        raise ResponsesError(
            f"Activity before {before.shape} and after {after.shape} does not fit; give (sample, unit) of the "
            "same units."
        )
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        raise ResponsesError("Activity holds NaN or infinite values; leave those samples out.")
