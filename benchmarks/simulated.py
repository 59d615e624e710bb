"""Simulated features, responses and recordings, of the sizes that claims are made for."""

import numpy as np

from brainalign import Recording, StimulusSet, make_responses
from brainalign.data import Provenance

RANK = 1000
"""Most dimensions of simulated features."""


def features_and_responses(
    n_stimuli: int, n_features: int, n_units: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Features (float32) whose variances fall as 1/rank, as in cortex and networks, and noisy responses.

    The responses follow from the first hundred dimensions; half to nine tenths of their variance is noise.
    """
    generator = np.random.default_rng(seed)
    rank = min(n_stimuli, n_features, RANK)
    scores = generator.normal(size=(n_stimuli, rank)) / np.sqrt(np.arange(1, rank + 1))
    loadings = generator.standard_normal((rank, n_features), dtype=np.float32)
    features = scores.astype(np.float32) @ loadings
    features += 1.0
    signal = scores[:, :100] @ generator.normal(size=(min(rank, 100), n_units))
    share = generator.uniform(0.1, 0.5, n_units)
    noise = generator.normal(size=(n_stimuli, n_units))
    return features, np.sqrt(share) * signal / signal.std(axis=0) + np.sqrt(1 - share) * noise


def ids(n_stimuli: int) -> list[str]:
    """Give each stimulus a name."""
    return [f"s{i:05d}" for i in range(n_stimuli)]


def images(n_stimuli: int, size: int, seed: int = 0) -> StimulusSet:
    """Images of random pixels."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (n_stimuli, size, size, 3), dtype=np.uint8)
    return StimulusSet.from_ids(ids(n_stimuli), list(pixels), name="random pixels")


def recording(stimuli: StimulusSet, n_units: int, n_repeats: int = 1, seed: int = 0) -> Recording:
    """Responses of units that answer each stimulus by numbers of their own, with noise on every repeat."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(len(stimuli), n_units, 1))
    values = values + generator.normal(size=(len(stimuli), n_units, n_repeats))
    responses = make_responses(
        values, stimuli.ids, region="simulated", subject="m", dims=("stimulus", "unit", "repeat")
    )
    return Recording("benchmark", stimuli, {"simulated": responses}, provenance=Provenance(simulated=True))
