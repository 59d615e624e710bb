"""Points in a plane by multidimensional scaling, and how far the plane can be believed."""

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.linalg import orthogonal_procrustes
from sklearn.manifold import smacof

from brainalign.errors import BrainalignError
from brainalign.names import unknown_name
from brainalign.trajectory.path_geometry import chords_of
from brainalign.trajectory.path_points import HALF, NETWORK, PIXELS, REGION

Array = np.ndarray
Distances = Float[Array, "point point"]
Positions = Float[Array, "point axis"]

KINDS = (NETWORK, PIXELS, REGION, HALF)
METHODS = {"smacof": "metric MDS (SMACOF)", "classical": "classical MDS"}
MOST_ITERATIONS, PRECISION = 1000, 1e-9


def in_plane(
    paths: xr.Dataset, method: str = "smacof", *, kinds: Sequence[str] = KINDS, n_starts: int = 4, seed: int = 0
) -> xr.Dataset:
    r"""Place points in a plane so that their chords are kept as well as can be.

    Chords are :math:`\sqrt{2 - 2\,\text{similarity}}`. ``classical`` is Torgerson's scaling; ``smacof`` goes on
    from there, and from random places, to the lowest stress

    .. math:: \sqrt{\textstyle\sum (\delta_{ij} - d_{ij})^2 / \sum d_{ij}^2},

    Kruskal's stress-1 of the plane's distances d from the chords δ, and is then turned onto the classical
    solution. A plane cannot keep everything: what is said of it is its stress, and for each region how well the
    plane keeps the networks' distances to it (Pearson r over their points). Single subjects are left out unless
    asked for: their noise, each in a direction of its own, would take the plane for itself.

    Parameters
    ----------
    paths
        What `representational_paths` returns.
    method
        ``smacof`` or ``classical``.
    kinds
        Kinds of points to place.
    n_starts
        Random places that ``smacof`` starts from, besides the classical solution.
    seed
        Draws them.

    Returns
    -------
    xarray.Dataset
        `paths` with ``position``, dims (point, axis), NaN for points that are not placed; attrs ``embedding``,
        ``stress``, ``stress_of_starts`` and ``kept_distances`` (JSON, region → r).

    Raises
    ------
    BrainalignError
        Fewer than three points to place.
    UnknownNameError
        An unknown method.

    References
    ----------
    Torgerson (1952), Psychometrika 17; de Leeuw (1977), Recent Developments in Statistics (SMACOF).
    """
    if method not in METHODS:
        raise unknown_name("method of scaling", method, METHODS)
    chords = chords_of(paths)
    placed = np.flatnonzero(np.isin(paths["kind"].values, kinds) & np.isfinite(np.diagonal(chords)))
    if len(placed) < 3:
        raise BrainalignError(
            f"{len(placed)} points of the kinds {', '.join(kinds)} have a place; a plane takes 3."
        )
    target = chords[np.ix_(placed, placed)]
    found = classical_scaling(target)[:, :2]
    stresses = [stress(target, found)]
    if method == "smacof":
        solutions = smacof_solutions(target, found, n_starts, seed)
        stresses = [stress(target, each) for each in solutions]
        best = solutions[int(np.argmin(stresses))]
        best = best - best.mean(axis=0)
        found = best @ orthogonal_procrustes(best, found)[0]
    position = np.full((len(chords), 2), np.nan)
    position[placed] = found
    return paths.assign(position=(("point", "axis"), position)).assign_attrs(
        embedding=METHODS[method],
        stress=min(stresses),
        stress_of_starts=[float(each) for each in stresses],
        kept_distances=json.dumps(kept_distances(paths, position)),
    )


def classical_scaling(distances: Distances) -> Positions:
    r"""Coordinates whose Euclidean distances are those given, the axis of most variance first.

    With J the centring matrix, the eigenvectors of :math:`-\tfrac12 J D^{\circ 2} J`, each times the root of
    its eigenvalue; as many axes as points, of which those with an eigenvalue below 0 (distances that no flat
    space has) are 0. The largest entry of each axis is positive, so that the same distances have the same
    coordinates.

    Examples
    --------
    >>> classical_scaling(np.array([[0.0, 2.0], [2.0, 0.0]])).round(6).tolist()
    [[1.0, 0.0], [-1.0, 0.0]]
    """
    squared = distances**2
    rows = squared.mean(axis=0)
    eigenvalues, axes = np.linalg.eigh(-(squared - rows - rows[:, None] + rows.mean()) / 2)
    eigenvalues, axes = eigenvalues[::-1], axes[:, ::-1]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(len(axes))]
    return axes * np.sign(largest) * np.sqrt(np.maximum(eigenvalues, 0.0))


def smacof_solutions(distances: Distances, first: Positions, n_starts: int, seed: int) -> list[Positions]:
    """Give what SMACOF comes to from the first positions and from random ones of the same spread."""
    generator = np.random.default_rng(seed)
    starts = [first, *(generator.normal(scale=first.std(), size=first.shape) for _ in range(n_starts))]
    options: dict = {"n_init": 1, "max_iter": MOST_ITERATIONS, "eps": PRECISION, "normalized_stress": False}
    return [np.asarray(smacof(distances, init=start, **options)[0]) for start in starts]


def stress(distances: Distances, positions: Positions) -> float:
    """Kruskal's stress-1: 0 where the positions keep the distances."""
    first, second = np.triu_indices(len(distances), 1)
    there = np.linalg.norm(positions[first] - positions[second], axis=1)
    return float(np.sqrt(((distances[first, second] - there) ** 2).sum() / (there**2).sum()))


def kept_distances(paths: xr.Dataset, position: Positions) -> dict[str, float]:
    """Correlate, over networks' points, distances to each region in the plane with those in the whole space."""
    kind, chords = paths["kind"].values, chords_of(paths)
    networks = np.flatnonzero((kind == NETWORK) & np.isfinite(position[:, 0]))
    found = {}
    for place in np.flatnonzero((kind == REGION) & np.isfinite(position[:, 0])):
        flat = np.linalg.norm(position[networks] - position[place], axis=1)
        whole = chords[networks, place]
        varied = len(networks) > 2 and np.ptp(flat) > 0 and np.ptp(whole) > 0
        found[str(paths["region"].values[place])] = (
            float(np.corrcoef(flat, whole)[0, 1]) if varied else float("nan")
        )
    return found
