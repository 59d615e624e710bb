"""Gain fields: where the eyes look scales what a unit answers to a place on the retina."""

import numpy as np
import pandas as pd
import scipy.stats
import torch
from jaxtyping import Float
from torch import nn

from brainalign.errors import BrainalignError
from brainalign.tasks.coordinate_transform import CoordinateTransform
from brainalign.trajectory.layer_answers import layer_answers

Array = np.ndarray
Evoked = Float[Array, "retinal eye unit"]
Places = Float[Array, "place 2"]

ANGLES = (-20.0, 0.0, 20.0)
"""Eye positions in degrees, horizontally and vertically, of Andersen, Essick & Siegel (1985): nine in all."""
SIGNIFICANT = 0.05
MODULATED = 0.2
"""Change of evoked activity over eye positions, as a share of the largest, under which it counts as none."""


def evoked_activity(
    network: nn.Module,
    task: CoordinateTransform,
    layer: str,
    retinal: Float[Array, "retinal 2"],
    eye: Float[Array, "eye 2"],
) -> Evoked:
    """Give what a target adds to each unit's activity, at each place on the retina and each eye position.

    Parameters
    ----------
    network
        A network of the task.
    task
        Encodes positions.
    layer
        Name of one layer.
    retinal, eye
        Positions in degrees, shape (place, 2).

    Returns
    -------
    numpy.ndarray
        Activity with the target less activity without one, shape (retinal, eye, unit).

    Raises
    ------
    UnknownNameError
        No such layer.
    """
    where, looking = (torch.from_numpy(np.asarray(each, np.float32)) for each in (retinal, eye))
    shown = task.encode(where.repeat_interleave(len(looking), 0), looking.repeat(len(where), 1))
    answers = (layer_answers(network, inputs, [layer])[layer] for inputs in (shown, task.encode(None, looking)))
    answered, without = (each.flatten(1).double().cpu().numpy() for each in answers)
    return answered.reshape(len(where), len(looking), -1) - without


def gain_fields(evoked: Array, retinal: Array, eye: Array) -> pd.DataFrame:
    r"""Fit a plane over eye positions to each unit's activity at its best place on the retina.

    .. math:: a(e) = b_0 + b_x e_x + b_y e_y

    Parameters
    ----------
    evoked
        From `evoked_activity`, shape (retinal, eye, unit).
    retinal, eye
        The places and eye positions, in degrees.

    Returns
    -------
    pandas.DataFrame
        A row a unit: ``number``;
        ``best_x``, ``best_y``, the place on the retina where the mean evoked activity over eye positions is
        furthest from 0, in degrees;
        ``slope_x``, ``slope_y``, of the plane, as shares of the largest evoked activity there, a degree;
        ``r2``, share of the variance over eye positions that the plane explains, and ``p``, of its F-test;
        ``depth``, largest less smallest over eye positions, as a share of the largest size;
        ``separable``, share of the squares of (place × eye position) that a product of a receptive field and
        a gain explains: 1 where the eyes scale the field, lower where they shift it;
        ``planar``, whether p < .05 and depth is .2 or more.

    Raises
    ------
    BrainalignError
        Shapes that do not agree, or eye positions on one line.

    References
    ----------
    Zipser & Andersen (1988), Nature 331:679; Andersen, Essick & Siegel (1985), Science 230:456. Their planes
    are of noisy rates. A network's answers are exact, so that F compares the plane with what is not flat.
    """
    retinal, eye = np.asarray(retinal, np.float64), np.asarray(eye, np.float64)
    design = np.column_stack([np.ones(len(eye)), eye])
    if evoked.ndim != 3 or evoked.shape[:2] != (len(retinal), len(eye)):
        raise BrainalignError(
            f"Evoked activity {evoked.shape} does not fit {len(retinal)} places and {len(eye)} eye positions; "
            "give (retinal, eye, unit)."
        )
    if len(eye) < 4 or np.linalg.matrix_rank(design) < 3:
        raise BrainalignError(f"A plane needs 4 eye positions or more, not on one line; found {len(eye)}.")
    best = np.abs(evoked.mean(1)).argmax(0)
    at_best = evoked[best, :, np.arange(evoked.shape[2])].T
    coefficients = np.linalg.lstsq(design, at_best, rcond=None)[0]
    left = ((at_best - design @ coefficients) ** 2).sum(0)
    total = ((at_best - at_best.mean(0)) ** 2).sum(0)
    largest = np.abs(at_best).max(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = 1 - left / total
        statistic = (r2 / 2) / ((1 - r2) / (len(eye) - 3))
        depth = np.ptp(at_best, axis=0) / largest
        slopes = coefficients[1:] / largest
    p = scipy.stats.f.sf(statistic, 2, len(eye) - 3)
    squares = np.linalg.svd(np.moveaxis(evoked, 2, 0), compute_uv=False) ** 2
    return pd.DataFrame(
        {
            "number": np.arange(evoked.shape[2]),
            "best_x": retinal[best, 0],
            "best_y": retinal[best, 1],
            "slope_x": slopes[0],
            "slope_y": slopes[1],
            "r2": r2,
            "p": p,
            "depth": depth,
            "separable": squares[:, 0] / squares.sum(1),
            "planar": (p < SIGNIFICANT) & (depth >= MODULATED),
        }
    )


def grid(angles: Float[Array, " angle"] | tuple[float, ...]) -> Places:
    """Give all pairs of angles, the second running fastest.

    Examples
    --------
    >>> grid((0.0, 1.0)).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    return np.stack(np.meshgrid(angles, angles, indexing="ij"), axis=-1).reshape(-1, 2)
