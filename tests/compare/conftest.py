"""A small recording of made-up images, and networks that see it in milliseconds."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from brainalign.data import Recording
from brainalign.data.recording import Provenance
from brainalign.data.responses import make_rdms, make_responses
from brainalign.data.stimuli import StimulusSet
from brainalign.networks import ConvNet, Preprocessing

N = 24
IDS = [f"s{i:02d}" for i in range(N)]


def images(n: int = N) -> list[np.ndarray]:
    """Smooth coloured patterns, no two alike."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (n, 4, 4, 3)).astype(np.uint8)
    return [np.kron(image, np.ones((4, 4, 1), dtype=np.uint8)) for image in coarse]


def counts(n: int = N, n_units: int = 8, n_repeats: int = 6) -> np.ndarray:
    """Repeats of units that look at the pixels, with noise."""
    generator = np.random.default_rng(1)
    pixels = np.stack([image[::4, ::4].ravel() / 255.0 for image in images(n)])
    drive = pixels @ generator.normal(size=(48, n_units))
    return drive[:, :, None] + 0.7 * generator.normal(size=(n, n_units, n_repeats))


@pytest.fixture
def make_recording() -> Callable[..., Recording]:
    """A recording of V4 (repeats, one animal) and IT (matrices of five people), or of regions given."""

    def make(
        name: str = "test",
        regions: Mapping | None = None,
        order: np.ndarray | None = None,
        with_images: bool = True,
        n: int = N,
        metadata: pd.DataFrame | None = None,
        simulated: bool = False,
    ) -> Recording:
        order = np.arange(n) if order is None else order
        ids = [f"s{i:02d}" for i in range(n)]
        shown = [ids[i] for i in order]
        table = (
            pd.DataFrame(index=pd.Index(ids, name="stimulus", dtype=object)) if metadata is None else metadata
        )
        sources = dict(zip(ids, images(n), strict=True)) if with_images else None
        stimuli = StimulusSet(name, table.loc[shown], sources)
        if regions is None:
            responses = make_responses(
                counts(n)[order], shown, region="V4", subject="m1", dims=("stimulus", "unit", "repeat")
            )
            generator = np.random.default_rng(2)
            square = generator.gamma(2.0, size=(5, n, n))
            square = square + square.transpose(0, 2, 1)
            square[:, np.arange(n), np.arange(n)] = 0.0
            people = make_rdms(square[:, order][:, :, order], shown, [f"p{k}" for k in range(5)])
            regions = {"V4": responses, "IT": people}
        matrices = {key: value for key, value in regions.items() if "other_stimulus" in value.dims}
        responses = {key: value for key, value in regions.items() if key not in matrices}
        provenance = Provenance(citation=f"{name} et al. 2020", licence="CC0", simulated=simulated)
        return Recording(name, stimuli, responses, matrices, provenance=provenance)

    return make


@pytest.fixture
def make_network() -> Callable[..., ConvNet]:
    """Two small layers and a head, with weights that a seed decides."""

    def make(seed: int = 0, size: int = 16) -> ConvNet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return ConvNet(image_size=size, n_outputs=12, channels=(4, 8)).eval()

    return make


class Partly(nn.Module):
    """A network whose middle layer answers all images alike."""

    def __init__(self):
        super().__init__()
        self.look = nn.Flatten()
        self.dead = nn.Linear(768, 5)
        self.alive = nn.Linear(768, 20)
        self.preprocessing = Preprocessing(16)
        with torch.no_grad():
            self.dead.weight.zero_()
            self.dead.bias.copy_(torch.arange(5.0) * 1e3 / 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Give the living layer's answer, whatever the dead one says."""
        seen = self.look(images)
        return self.alive(seen) + 0 * self.dead(seen).sum(1, keepdim=True)


@pytest.fixture
def partly_dead() -> Partly:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Partly()
