"""Variance partitioning: what each group of layers explains of a region, alone and beyond the others."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float

from brainalign.compare.comparison import mean_over_splits
from brainalign.compare.held_out import HeldOutUnits, fold_weights, median_over_units
from brainalign.compare.joint_predictivity import banded_blocks
from brainalign.compare.resampling import interval
from brainalign.data import Recording
from brainalign.errors import BrainalignError, NeedsError
from brainalign.metrics.banded import band_weights, banded_ridge
from brainalign.probing import Representation

Array = np.ndarray
Group = Representation | Sequence[Representation]
Subset = tuple[int, ...]

TINY = float(np.finfo(float).tiny)

MOST_GROUPS = 4
"""Five groups have 31 subsets, and shares of four that hardly any recording could tell from 0."""


def partition_variance(
    groups: Mapping[str, Group],
    recording: Recording | xr.DataArray,
    region: str | None = None,
    *,
    metadata: pd.DataFrame | None = None,
    n_mixtures: int = 20,
    n_alphas: int = 41,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Part the explained variance of a region into what each group of layers explains, and what they share.

    For every subset S of the groups, banded ridge (`banded_ridge`; each group is a band, its layers side by
    side, each divided by its mean eigenvalue) predicts held-out stimuli. Per unit, in each held-out fold,

    .. math:: R^2 = 1 - \sum_i (y_i - \hat y_i)^2 / \sum_i (y_i - \bar y_{train})^2

    so that 0 is a prediction of the mean of the training stimuli, and a worse one is negative. With repeats
    it is divided by the unit's split-half reliability: the fraction of the explainable variance. The joint
    value R²(S) is the median over units, averaged over folds. The share that exactly the groups of S have in
    common is made of these joint values. With C the other groups, it is their commonality (Mood 1971;
    Seibold & McPhee 1979),

    .. math:: \sum_{T \subseteq S} (-1)^{|T| + 1} R^2(C \cup T), \quad R^2(\emptyset) = 0

    For one group it is its unique share, the joint value of all less that without it; for two of two groups
    R²(A) + R²(B) − R²(A, B). All shares add up to the joint value of all groups. A shared share is negative
    where groups explain more together than each by itself (suppression). The cost is that of an
    eigendecomposition, O(train³), for every mixture of bands in each of ten folds: two groups have
    3 + `n_mixtures` mixtures, three 7 + 4 `n_mixtures`, four 15 + 11 `n_mixtures`.

    Parameters
    ----------
    groups
        One to four groups: a representation or several, such as two layers and pixels.
    recording
        A recording, or a region's responses by themselves.
    region
        Region of the recording; may be left out where there is one.
    metadata
        Of the stimuli, with the columns ``image`` and ``stratum`` where there are any; a recording brings
        its own.
    n_mixtures
        Random mixtures of the bands for each subset of two groups or more, beside single bands and even
        mixtures.
    n_alphas
        Penalties to choose from.
    n_resamples, seed
        Bootstrap samples of the stimuli, and the seed of these and of splits of repeats. All values see the
        same samples, so the intervals of shares are of paired differences.

    Returns
    -------
    pandas.DataFrame
        Rows by ``share`` (``joint``, ``unique``, ``shared``) and ``groups`` (names joined by `` + ``):
        ``value``, the ends ``low`` and ``high`` of its 95 % interval, ``scale`` (``explainable variance``
        with repeats, else ``variance``), ``n_units``, ``n_units_masked``, ``n_stimuli``.

    Raises
    ------
    BrainalignError
        No groups, more than four, or an empty one; a recording of several regions and none named.
    NeedsError
        A region of dissimilarity matrices, or without a reliable unit.
    """
    listed = _listed(groups)
    responses, owner, metadata = _responses(recording, region, metadata)
    units = HeldOutUnits(responses, owner, n_resamples, seed, metadata)
    subsets = [s for size in range(1, len(listed) + 1) for s in combinations(range(len(listed)), size)]
    grams = [_band([layer.select(units.facts.stimuli).gram for layer in layers]) for layers in listed.values()]
    joint = _joint_values(grams, units, subsets, n_mixtures, n_alphas)
    names = [" + ".join(list(listed)[k] for k in subset) for subset in subsets]
    shares = _commonalities(subsets) @ joint
    rows = [("joint", name, values) for name, values in zip(names, joint, strict=True)]
    rows += [
        ("unique" if len(subset) == 1 else "shared", name, values)
        for subset, name, values in zip(subsets, names, shares, strict=True)
    ]
    facts, table = units.facts, []
    for share, name, values in rows:
        low, high = interval(float(values[0]), *units.resamples.variance(values[None, 1:]))
        table.append((share, name, float(values[0]), low, high))
    return pd.DataFrame(table, columns=["share", "groups", "value", "low", "high"]).assign(
        scale="variance" if units.reliability is None else "explainable variance",
        n_units=facts.n_units,
        n_units_masked=facts.n_units_masked,
        n_stimuli=len(facts.stimuli),
    )


def _joint_values(
    grams: Sequence[Float[Array, "n n"]],
    units: HeldOutUnits,
    subsets: Sequence[Subset],
    n_mixtures: int,
    n_alphas: int,
) -> Float[Array, "subset value"]:
    """Explained variance by each subset of the bands: observed, then in each bootstrap sample."""
    mixtures, allowed = _mixtures(subsets, n_mixtures)
    responses, scoring = units.patterns.mean, []
    reliability = 1.0 if units.reliability is None else units.reliability
    for fold in units.folds:
        blocks = banded_blocks(grams, fold.train, fold.test)
        predicted, _ = banded_ridge(*blocks, responses[fold.train], mixtures, n_alphas, allowed)
        mean, weights = responses[fold.train].mean(axis=0), fold_weights(units.resamples, fold.test)
        scoring.append(
            [
                median_over_units(
                    explained_variance(of_subset, responses[fold.test], mean, weights) / reliability
                )
                for of_subset in predicted
            ]
        )
    return np.stack([mean_over_splits(of_subset) for of_subset in np.array(scoring).transpose(1, 0, 2)])


def explained_variance(
    predicted: Float[Array, "test unit"],
    responses: Float[Array, "test unit"],
    train_mean: Float[Array, " unit"],
    weights: Float[Array, "value test"],
) -> Float[Array, "value unit"]:
    """1 − Σ w (y − ŷ)² / Σ w (y − ȳ_train)² for each unit under each row of weights; NaN for 0 / 0.

    Examples
    --------
    >>> y, ones = np.array([[1.0], [3.0]]), np.ones((1, 2))
    >>> explained_variance(np.array([[1.0], [2.0]]), y, np.array([2.0]), ones).tolist()
    [[0.5]]
    """
    error, total = weights @ (responses - predicted) ** 2, weights @ (responses - train_mean) ** 2
    return 1 - np.divide(error, total, out=np.full(total.shape, np.nan), where=total > 0)


def _mixtures(
    subsets: Sequence[Subset], n_mixtures: int
) -> tuple[Float[Array, "mixture band"], Bool[Array, "subset mixture"]]:
    """Weights of the bands to choose from, and which of them leave the bands outside a subset alone.

    A subset may use what its own subsets may, so a band more seldom makes a fit worse.
    """
    n_bands = max(map(len, subsets))
    mixtures = [np.eye(n_bands)]
    for subset in subsets:
        if len(subset) > 1:
            inside = np.zeros((1 + n_mixtures, n_bands))
            inside[:, subset] = band_weights(len(subset), n_mixtures)[len(subset) :]
            mixtures.append(inside)
    stacked = np.vstack(mixtures)
    outside = np.array([[band not in subset for band in range(n_bands)] for subset in subsets])
    return stacked, outside.astype(float) @ stacked.T == 0


def _commonalities(subsets: Sequence[Subset]) -> Float[Array, "share subset"]:
    """Signs with which the joint values of the subsets add up to each subset's unique or shared share."""
    place = {subset: k for k, subset in enumerate(subsets)}
    everything = subsets[-1]
    signs = np.zeros((len(subsets), len(subsets)))
    for row, subset in enumerate(subsets):
        others = [k for k in everything if k not in subset]
        for size in range(len(subset) + 1):
            for added in combinations(subset, size):
                known = tuple(sorted([*others, *added]))
                if known:
                    signs[row, place[known]] += (-1) ** (size + 1)
    return signs


def _band(grams: Sequence[Float[Array, "n n"]]) -> Float[Array, "n n"]:
    """Gram matrix of several layers side by side, each divided by its mean eigenvalue."""
    return np.sum([gram / max(float(np.trace(gram)) / len(gram), TINY) for gram in grams], axis=0)


def _listed(groups: Mapping[str, Group]) -> dict[str, list[Representation]]:
    listed = {
        name: [group] if isinstance(group, Representation) else list(group) for name, group in groups.items()
    }
    empty = [name for name, layers in listed.items() if not layers]
    if not 1 <= len(listed) <= MOST_GROUPS or empty:
        given = f"group {empty[0]!r} is empty" if empty else f"{len(listed)} groups were given"
        raise BrainalignError(
            f"Variance is parted among one to {MOST_GROUPS} groups, each of one layer or more; {given}."
        )
    return listed


def _responses(
    recording: Recording | xr.DataArray, region: str | None, metadata: pd.DataFrame | None
) -> tuple[xr.DataArray, str, pd.DataFrame | None]:
    """Give a region's responses, what to call it, and the metadata of its stimuli."""
    if isinstance(recording, xr.DataArray):
        responses, owner = recording, "The region" if region is None else f"Region {region!r}"
    else:
        region = only_region(recording, region)
        responses, owner = recording[region], f"Region {region!r} of {recording.name!r}"
        metadata = recording.stimuli.metadata if metadata is None and recording.stimuli else metadata
    if "other_stimulus" in responses.dims:
        raise NeedsError(
            f"{owner} holds dissimilarities; parting variance needs responses of units. Choose another region."
        )
    return responses, owner, metadata


def only_region(recording: Recording, region: str | None) -> str:
    """Give the region named, or the only one that there is."""
    recording.require_regions()
    if region is None and len(recording.regions) > 1:
        raise BrainalignError(
            f"Recording {recording.name!r} has {len(recording.regions)} regions; name one of "
            f"{', '.join(recording.regions)}."
        )
    return recording.regions[0] if region is None else region
