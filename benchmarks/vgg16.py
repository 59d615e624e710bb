"""Every convolution, ReLU and linear layer of VGG16, scored by three metrics in bounded memory."""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from torch import nn

from benchmarks.networks import BATCH, forward, seconds_to_reach, untrained
from benchmarks.rows import Row, megabytes, times_floor
from benchmarks.simulated import images, recording
from benchmarks.timing import fastest, measured
from brainalign import Preprocessing, StimulusSet, evaluate
from brainalign.probing import represent
from brainalign.probing.gram_sums import BLOCK
from brainalign.probing.pieces import Output, Size
from brainalign.probing.plan import Pass

METRICS = ["rsa", "ridge", "cka"]
N_UNITS = 100
MEMORY = 1_500_000_000
"""Bytes of features at a time: half of what the claim allows; the forward pass and the metrics take theirs."""
FILE_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Sizes:
    """How many images of how many pixels, bootstrap samples, and bytes of memory and of a file on disk."""

    n: int
    pixels: int
    n_resamples: int
    memory: int
    file_bytes: int

    @classmethod
    def of(cls, small: bool) -> "Sizes":
        """Give the claim's sizes, or tiny ones that still make several passes."""
        return cls(12, 32, 10, 1_500_000, 1_000_000) if small else cls(500, 224, 100, MEMORY, FILE_BYTES)

    def shown(self) -> tuple[StimulusSet, Preprocessing]:
        """Make the images."""
        return images(self.n, self.pixels), Preprocessing(size=self.pixels)


@dataclass(frozen=True)
class Scored:
    """What scoring did: the passes of its plan, the sizes of what it kept, the columns it multiplied."""

    plan: list[Pass]
    kept: dict[Output, Size]
    n_columns: int

    def spooled_bytes(self, n_stimuli: int) -> int:
        """Count what went to disk."""
        sizes = [self.kept[output] for each in self.plan for output in each.spooled]
        return sum(n_stimuli * size.width * size.dtype.itemsize for size in sizes)


@dataclass(frozen=True)
class Floor:
    """Seconds that no way of following the plan avoids."""

    showing: float
    products: float
    disk: float

    @property
    def seconds(self) -> float:
        """All parts together."""
        return self.showing + self.products + self.disk

    def __str__(self) -> str:
        return f"forward {self.showing:.3g} s, Gram products {self.products:.3g} s, disk {self.disk:.3g} s"


def measure(small: bool) -> list[Row]:
    """Time scoring, the bare forward, and the floor's parts; watch the memory of scoring."""
    sizes = Sizes.of(small)
    with tempfile.TemporaryDirectory() as folder:
        ours = measured(alone, sizes, folder)
        per_byte = _disk_seconds_per_byte(Path(folder), sizes.file_bytes)
    bare = measured(alone_forward, sizes)
    did: Scored = ours.result
    reach: dict[str, float] = bare.result
    spooled = did.spooled_bytes(sizes.n)
    floor = Floor(
        sum(reach[each.last(did.kept)[0]] for each in did.plan),
        did.n_columns * _product_seconds_per_column(sizes.n),
        spooled * per_byte,
    )
    claim = (
        f"VGG16, {len(reach)} conv, ReLU and linear layers, {sizes.n} images at {sizes.pixels} pixels → "
        f"{N_UNITS} units, {', '.join(METRICS)}, {sizes.n_resamples} bootstrap samples"
    )
    plan = f"{len(did.plan)} passes, {spooled / 1e9:.3g} GB spooled"
    peak = ours.peak_mb
    against_floor = f"{claim}: against the floor of its plan ({plan}: {floor})"
    against_forward = f"{claim}: against one bare forward"
    return [
        megabytes("vgg16_memory", f"{claim}: resident memory above the model", peak, 3000, ours.seconds),
        times_floor("vgg16_floor", against_floor, ours.seconds, floor.seconds, 1.5, peak),
        times_floor("vgg16_forward", against_forward, ours.seconds, bare.seconds, 4, peak),
    ]


def alone(start: Callable[[], None], sizes: Sizes, folder: str) -> Scored:
    """Ours in a process of its own, spooling to a cache of its own."""
    os.environ["BRAINALIGN_CACHE"] = folder
    network = untrained("vgg16")
    stimuli, preprocessing = sizes.shown()
    region = recording(stimuli, N_UNITS)
    plans: list[tuple[list[Pass], dict[Output, Size]]] = []
    columns: list[int] = []

    def noting_plan(kept, *given):
        plans.append((make_plan(kept, *given), dict(kept)))
        return plans[-1][0]

    def noting_columns(sums, block, weights):
        columns.append(block.shape[1])
        add(sums, block, weights)

    make_plan, add = represent.make_plan, represent.GramSums.add
    with (
        mock.patch.object(represent, "make_plan", noting_plan),
        mock.patch.object(represent.GramSums, "add", noting_columns),
    ):
        start()
        evaluate(
            ("vgg16", network),
            region,
            METRICS,
            layers=layers(network),
            preprocessing=preprocessing,
            n_resamples=sizes.n_resamples,
            batch_size=BATCH,
            memory=sizes.memory,
            cache=False,
        )
    return Scored(*plans[0], sum(columns))


def alone_forward(start: Callable[[], None], sizes: Sizes) -> dict[str, float]:
    """One bare forward, the second, in a process of its own; gives the seconds until each layer."""
    network = untrained("vgg16")
    stimuli, preprocessing = sizes.shown()
    forward(network, stimuli.select(stimuli.ids[:BATCH]), preprocessing)
    start()
    return seconds_to_reach(network, stimuli, preprocessing, layers(network))


def layers(network: nn.Module) -> list[str]:
    """Name every convolution, ReLU and linear layer."""
    kinds = nn.Conv2d | nn.ReLU | nn.Linear
    return [name for name, module in network.named_modules() if isinstance(module, kinds)]


def _product_seconds_per_column(n: int) -> float:
    """Seconds that a float32 product X Xᵀ of n rows takes for each column of X."""
    block = np.random.default_rng(0).standard_normal((n, BLOCK), dtype=np.float32)
    return fastest(20, {"product": lambda: block @ block.T})["product"].seconds / BLOCK


def _disk_seconds_per_byte(folder: Path, n_bytes: int) -> float:
    """Seconds to write a byte and to read it back, without waiting for the disk itself, as a spool does."""
    chunk = bytes(min(n_bytes, 16 * 2**20))
    file = folder / "rate"
    began = time.perf_counter()
    with file.open("wb") as handle:
        for _ in range(n_bytes // len(chunk)):
            handle.write(chunk)
    with file.open("rb") as handle:
        while handle.read(len(chunk)):
            pass
    seconds = time.perf_counter() - began
    n_written = file.stat().st_size
    file.unlink()
    return seconds / n_written
