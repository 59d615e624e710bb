"""Progressive differentiation: when in learning each level of a hierarchy of categories comes apart."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float, Int

from brainalign.errors import BrainalignError, ResponsesError
from brainalign.metrics.rdm import n_stimuli_of

Array = np.ndarray
Rdms = Float[Array, "*stack pair"]
Labels = pd.DataFrame
Weights = Float[Array, " pair"]
Masks = tuple[Bool[Array, " pair"], Bool[Array, " pair"]]

ROUNDING = 1e-12


def differentiation(
    rdms: Float[Array, "run checkpoint pair"],
    steps: Sequence[int],
    labels: Labels,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    r"""Follow the separation of categories, level by level, over training.

    .. math:: \text{separation} = \frac{\bar d_\text{between} - \bar d_\text{within}}
        {\bar d_\text{between} + \bar d_\text{within}}, \qquad
        d' = \frac{\bar d_\text{between} - \bar d_\text{within}}
        {\sqrt{(\sigma^2_\text{between} + \sigma^2_\text{within}) / 2}},

    over pairs of different stimuli, inside each category of the level above, and averaged over these: so a
    level does not inherit the separation of the one above it, nor what tells one of its categories' spread from
    another's. Both are 0 where the level tells nothing apart, and blind to the scale of the dissimilarities.

    Intervals resample stimuli, inside the categories of the finest level so that none goes missing, the same
    for all steps, runs and levels; pairs of a stimulus with itself are dropped. They say how much hangs on
    these stimuli, not on these categories. Runs are averaged. `chance` is the 95th percentile of the separation
    with labels shuffled among the stimuli of the category above.

    Parameters
    ----------
    rdms
        Condensed RDMs of runs over checkpoints.
    steps
        Training steps of the checkpoints, ascending.
    labels
        A row a stimulus in the RDMs' order, a column a level, coarsest first; each category of a level inside
        one category of the level above.
    n_resamples
        Bootstrap samples, and shuffles.
    seed
        Draws both.

    Returns
    -------
    xarray.Dataset
        Dims (level, checkpoint): separation, low, high, d_prime, chance, p (share of shuffles as separated, the
        labels as they are among them). Dims (level, resample): half_time, in each bootstrap sample the step at
        which the separation has first come half of its way from the first checkpoint to the last, interpolated;
        NaN where it ends no higher. Attrs n_stimuli and n_runs.

    Raises
    ------
    ResponsesError
        RDMs with NaN, or of a shape that fits neither steps nor labels.
    BrainalignError
        Levels that are not nested, that have no pair within or between categories, or steps that do not ascend.

    References
    ----------
    Saxe, McClelland & Ganguli (2019), PNAS 116:11537, on why coarse distinctions are learned first.
    """
    _check(rdms, steps, labels)
    generator, levels = np.random.default_rng(seed), range(labels.shape[1])
    masks = [masks_of(labels, level) for level in levels]
    observed = np.stack([separation(rdms, each).mean(axis=0) for each in masks])
    resampled = np.array(
        [
            [separation(rdms, each, weights).mean(axis=0) for each in masks]
            for weights in _resamples(labels, n_resamples, generator)
        ]
    )
    shuffled = np.array(
        [
            [
                separation(rdms, masks_of(_shuffled(labels, level, generator), level)).mean(axis=0)
                for level in levels
            ]
            for _ in range(n_resamples)
        ]
    )
    low, high = np.percentile(resampled, [2.5, 97.5], axis=0)
    found = {
        "separation": observed,
        "low": low,
        "high": high,
        "d_prime": np.stack([d_prime(rdms, each).mean(axis=0) for each in masks]),
        "chance": np.percentile(shuffled, 95, axis=0),
        "p": (1 + (shuffled >= observed - ROUNDING).sum(axis=0)) / (1 + n_resamples),
    }
    half_times = np.apply_along_axis(half_time, 2, resampled, steps).T
    dims = ("level", "checkpoint")
    values = {name: (dims, each) for name, each in found.items()}
    return xr.Dataset(
        values | {"half_time": (("level", "resample"), half_times)},
        coords={"level": list(labels.columns), "checkpoint": list(steps)},
        attrs={"n_stimuli": len(labels), "n_runs": len(rdms), "n_resamples": n_resamples, "seed": seed},
    )


def which_first(found: xr.Dataset) -> pd.DataFrame:
    """Compare the half-times of each pair of levels, stimulus sample by stimulus sample.

    Parameters
    ----------
    found
        What `differentiation` returns.

    Returns
    -------
    pandas.DataFrame
        Columns level, other, later (median of how many steps `other` comes after `level`), low, high (95 %,
        over the samples in which both have a half-time), defined (their share), first: the level that comes
        first if the interval excludes 0 and at least 95 % of samples are defined, else empty.
    """
    rows = []
    for level, other in combinations(found["level"].values.tolist(), 2):
        later = (found["half_time"].sel(level=other) - found["half_time"].sel(level=level)).values
        known = later[np.isfinite(later)]
        low, middle, high = np.percentile(known, [2.5, 50, 97.5]) if len(known) else (np.nan,) * 3
        defined = len(known) / len(later)
        first = (level if low > 0 else other if high < 0 else "") if defined >= 0.95 else ""
        rows.append((level, other, middle, low, high, defined, first))
    return pd.DataFrame(rows, columns=pd.Index(("level", "other", "later", "low", "high", "defined", "first")))


def separation(rdms: Rdms, inside: Sequence[Masks], weights: Weights | None = None) -> Float[Array, "*stack"]:
    """(between − within) / (between + within) of the (weighted) mean dissimilarities; 0 where all are 0.

    Mean over the categories above, of which `inside` marks the pairs.
    """
    found = []
    for masks in inside:
        weighted = [mask * (1.0 if weights is None else weights) for mask in masks]
        within, between = (np.asarray(rdms @ each / each.sum()) for each in weighted)
        total = within + between
        found.append(np.divide(between - within, total, out=np.zeros_like(total), where=total > 0))
    return np.asarray(np.mean(found, axis=0))


def d_prime(rdms: Rdms, inside: Sequence[Masks]) -> Float[Array, "*stack"]:
    """Difference of the means over the root of the mean variance; NaN where nothing varies."""
    found = []
    for masks in inside:
        within, between = (rdms[..., mask] for mask in masks)
        spread = np.sqrt((within.var(axis=-1) + between.var(axis=-1)) / 2)
        apart = np.asarray(between.mean(axis=-1) - within.mean(axis=-1))
        found.append(np.divide(apart, spread, out=np.full_like(apart, np.nan), where=spread > 0))
    return np.asarray(np.mean(found, axis=0))


def masks_of(labels: Labels, level: int) -> list[Masks]:
    """Mark, in each category of the level above, the pairs within and between categories of a level.

    Categories above that have no pair of one of the two are left out.
    """
    first, second = np.triu_indices(len(labels), 1)
    codes, above = _codes(labels, level), _codes(labels, level - 1)
    same = codes[first] == codes[second]
    inside = [(above[first] == each) & (above[second] == each) for each in np.unique(above)]
    masks = [(pairs & same, pairs & ~same) for pairs in inside]
    return [(within, between) for within, between in masks if within.any() and between.any()]


def half_time(curve: Float[Array, " checkpoint"], steps: Sequence[int]) -> float:
    """Step at which a curve is first half-way from its first value to its last; NaN where it does not rise.

    Examples
    --------
    >>> half_time(np.array([0.0, 0.2, 1.0]), [0, 10, 30])
    17.5
    """
    if not curve[-1] > curve[0]:
        return float("nan")
    half = (curve[0] + curve[-1]) / 2
    k = int(np.argmax(curve >= half))
    share = (half - curve[k - 1]) / (curve[k] - curve[k - 1])
    return float(steps[k - 1] + share * (steps[k] - steps[k - 1]))


def _resamples(labels: Labels, n_resamples: int, generator: np.random.Generator) -> Iterator[Weights]:
    """Weigh pairs as often as their stimuli are drawn, inside each of the finest categories.

    A pair inside a category of m is drawn 1 − 1/m times as often as one of two categories, for the pairs of a
    stimulus with itself are dropped; it is weighed up by as much, or near pairs would be too few.
    """
    finest = _codes(labels, labels.shape[1] - 1)
    sizes = np.bincount(finest)[finest]
    first, second = np.triu_indices(len(labels), 1)
    up = np.where(finest[first] == finest[second], sizes[first] / np.maximum(sizes[first] - 1, 1), 1.0)
    for _ in range(n_resamples):
        drawn = np.empty(len(labels), dtype=np.int64)
        for category in np.unique(finest):
            own = np.flatnonzero(finest == category)
            drawn[own] = generator.choice(own, len(own))
        counts = np.bincount(drawn, minlength=len(labels))
        yield counts[first] * counts[second] * up


def _shuffled(labels: Labels, level: int, generator: np.random.Generator) -> Labels:
    """Shuffle a level's labels inside the categories of the level above."""
    above = _codes(labels, level - 1)
    order = np.arange(len(labels))
    for category in np.unique(above):
        own = np.flatnonzero(above == category)
        order[own] = generator.permutation(own)
    shuffled = labels.copy()
    shuffled.iloc[:, level] = labels.iloc[order, level].to_numpy()
    return shuffled


def _codes(labels: Labels, level: int) -> Int[Array, " stimulus"]:
    """Give a number to each category of a level; above the coarsest there is one."""
    return pd.factorize(labels.iloc[:, level])[0] if level >= 0 else np.zeros(len(labels), dtype=np.int64)


def _check(rdms: Rdms, steps: Sequence[int], labels: Labels) -> None:
    """Refuse what cannot be followed."""
    n = n_stimuli_of(rdms.shape[-1])
    if rdms.ndim != 3 or rdms.shape[1] != len(steps) or n != len(labels):
        raise ResponsesError(
            f"RDMs of shape {rdms.shape} do not fit {len(steps)} steps and labels of {len(labels)} stimuli; "
            "give (run, checkpoint, pair)."
        )
    if not np.isfinite(rdms).all():
        raise ResponsesError("The RDMs hold NaN or infinite values; leave out the runs or stimuli concerned.")
    if len(steps) < 2 or (np.diff(steps) <= 0).any():
        raise BrainalignError(
            f"Differentiation is followed over 2 ascending steps or more; given {list(steps)}."
        )
    if labels.isna().any(axis=None):
        raise BrainalignError("Some stimuli have no label; give each one at every level.")
    for level, name in enumerate(labels.columns):
        if level and (labels.iloc[:, level - 1].groupby(_codes(labels, level)).nunique() > 1).any():
            raise BrainalignError(
                f"Level {name!r} has a category in several categories of {labels.columns[level - 1]!r}; give "
                "levels from coarse to fine, each inside the one before."
            )
        if not masks_of(labels, level):
            raise BrainalignError(
                f"Level {name!r} has no pairs both within and between its categories inside one of the "
                "level above; leave it out."
            )
