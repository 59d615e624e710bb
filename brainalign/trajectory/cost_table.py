"""A table of costs by regions, of what networks score at committed layers, and draws of its error."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from brainalign.compare.committed import CommittedRegion
from brainalign.compare.comparison import Outcome
from brainalign.compare.resampling import Resamples
from brainalign.errors import BrainalignError

Array = np.ndarray

FEWEST_SAMPLES = 100
"""Bootstrap samples of images below which draws from them say little of a distribution."""


@dataclass(frozen=True)
class CostTable:
    """Scores of costs in regions, and draws of their sampling error.

    Parameters
    ----------
    costs, regions
        Names of the rows and the columns.
    scores
        Of each network at its committed layer.
    by_images
        Draws of what other images would have changed in the means over seeds.
    by_seeds
        Draws of what other seeds would have changed in the scores; all zero for a single seed.
    """

    costs: tuple[str, ...]
    regions: tuple[str, ...]
    scores: Float[Array, "cost seed region"]
    by_images: Float[Array, "draw cost region"]
    by_seeds: Float[Array, "draw cost seed region"]


def cost_table(
    regions: Sequence[CommittedRegion], costs: Sequence[str], *, n_draws: int = 1999, seed: int = 0
) -> CostTable:
    """Put committed scores in a table, with draws of their error over images and seeds.

    Over images: a bootstrap sample of them, the same one for all regions of the same images, its variance
    corrected as `Resamples.variance` does. Over seeds: normal, with the covariance between regions of the
    networks' residuals from the mean of their cost. What a seed does on these very images is among its
    residuals, so by that the draws over images are shrunk.

    Parameters
    ----------
    regions
        As `Evaluation.committed` has them.
    costs
        The networks, by their names in `regions`, that are compared; each has the same number of seeds.
        Others, such as controls, are left out. With one seed of each, tests speak of these very networks.
    n_draws
        Draws.
    seed
        Of the draws.

    Raises
    ------
    BrainalignError
        Fewer than two costs or regions, a cost that is missing in a region or has more seeds than another,
        a network without a score, hardly any bootstrap sample in which all have one, or no differences at all.
    """
    networks = [_networks(region, costs) for region in regions]
    _check_layout(networks, costs)
    scores = np.stack([[[each.raw for each in of_cost] for of_cost in found] for found in networks], axis=-1)
    replicates = [np.array([[each.replicates for each in of_cost] for of_cost in found]) for found in networks]
    generator = np.random.default_rng(seed)
    samples: dict[tuple[str, ...], Array] = {}
    for region in regions:
        if region.stimuli not in samples:
            same = [
                each for each, other in zip(replicates, regions, strict=True) if other.stimuli == region.stimuli
            ]
            samples[region.stimuli] = _samples(same, n_draws, generator)
    by_images = [
        _by_images(each, region.resamples, samples[region.stimuli])
        for each, region in zip(replicates, regions, strict=True)
    ]
    names = tuple(f"{region.recording} {region.region}" for region in regions)
    by_seeds = _by_seeds(scores, n_draws, generator)
    return CostTable(tuple(costs), names, scores, np.stack(by_images, axis=-1), by_seeds)


def _networks(region: CommittedRegion, costs: Sequence[str]) -> list[list[Outcome]]:
    """Give each cost's outcomes by ascending seed."""
    ordered = sorted(region.entries, key=lambda entry: entry.seed)
    return [[entry.outcome for entry in ordered if entry.network == cost] for cost in costs]


def _check_layout(networks: Sequence[Sequence[Sequence[Outcome]]], costs: Sequence[str]) -> None:
    if len(costs) < 2 or len(set(costs)) < len(costs) or len(networks) < 2:
        raise BrainalignError(
            f"{len(costs)} costs ({len(set(costs))} different) in {len(networks)} regions make no table; give "
            "two or more of each."
        )
    counts = {(cost, len(found[c])) for found in networks for c, cost in enumerate(costs)}
    if len({n for _, n in counts}) > 1 or min(n for _, n in counts) == 0:
        listed = ", ".join(f"{cost}: {n}" for cost, n in sorted(counts))
        raise BrainalignError(f"Every cost needs the same number of seeds in every region; found {listed}.")
    if not np.isfinite([each.raw for found in networks for of_cost in found for each in of_cost]).all():
        raise BrainalignError("A network has no score in a region, so there is no table; leave out its cost.")


def _samples(
    replicates: Sequence[Float[Array, "cost seed kind resample"]], n_draws: int, generator: np.random.Generator
) -> Int[Array, " draw"]:
    """Draw bootstrap samples in which all networks have a value in all regions of the same images."""
    defined = np.logical_and.reduce([np.isfinite(each[:, :, 0]).all(axis=(0, 1)) for each in replicates])
    if defined.sum() < FEWEST_SAMPLES:
        raise BrainalignError(
            f"Only {defined.sum()} bootstrap samples have a value for all networks; ask `evaluate` for more "
            f"(n_resamples) so that {FEWEST_SAMPLES} have. Metrics that match single units have none."
        )
    return generator.choice(np.flatnonzero(defined), n_draws)


def _by_images(
    replicates: Float[Array, "cost seed kind resample"], resamples: Resamples, samples: Int[Array, " draw"]
) -> Float[Array, "draw cost"]:
    """Draw what other images would have changed in the means over seeds.

    What all costs share is drawn as it is; contrasts of costs are brought to the variance that
    `Resamples.variance` gives them, less that of what is each seed's own.
    """
    n_costs, n_seeds = replicates.shape[:2]
    means = replicates.mean(axis=1)
    contrasts = means - means.mean(axis=0)
    plain = float(np.nanvar(contrasts[:, 0], axis=-1, ddof=1).sum())
    wanted = sum(resamples.variance(each)[0] for each in contrasts)
    if n_seeds > 1:
        own = (replicates - means[:, None]).reshape(-1, *replicates.shape[2:])
        # Deviations from the mean of a cost have (n − 1)/n of a seed's own variance, contrasts (C − 1)/C.
        of_seeds = sum(resamples.variance(each)[0] for each in own) / (n_costs * (n_seeds - 1))
        wanted = max(wanted - of_seeds * (n_costs - 1) / n_seeds, 0.0)
    if plain <= np.finfo(float).eps * float(np.nanmax(means[:, 0] ** 2)):
        raise BrainalignError(
            "The costs score alike in every bootstrap sample; are they one and the same network?"
        )
    drawn = means[:, 0, samples].T - np.nanmean(means[:, 0], axis=-1)
    shared = drawn.mean(axis=1, keepdims=True)
    return shared + (drawn - shared) * np.sqrt(wanted / plain)


def _by_seeds(
    scores: Float[Array, "cost seed region"], n_draws: int, generator: np.random.Generator
) -> Float[Array, "draw cost seed region"]:
    """Draw what other seeds would have changed: normal, with the covariance of residuals between regions."""
    n_costs, n_seeds, n_regions = scores.shape
    residuals = residuals_of(scores).reshape(-1, n_regions)
    weights = generator.normal(size=(n_draws, n_costs, n_seeds, len(residuals)))
    return weights @ residuals / np.sqrt(max(n_costs * (n_seeds - 1), 1))


def residuals_of(scores: Float[Array, "*draw cost seed region"]) -> Float[Array, "*draw cost seed region"]:
    """Give each network's difference from the mean of its cost."""
    return scores - scores.mean(axis=-2, keepdims=True)
