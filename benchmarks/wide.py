"""One layer of three million units, in bounded memory."""

import os
import tempfile
from collections.abc import Callable

from torch import nn

from benchmarks.networks import BATCH
from benchmarks.rows import Row, megabytes
from benchmarks.simulated import images, recording
from benchmarks.timing import measured
from brainalign import Preprocessing, evaluate

METRICS = ["rsa", "ridge", "cka"]
N_UNITS = 100
CHANNELS = 60


def measure(small: bool) -> list[Row]:
    """Watch the memory of scoring the layer."""
    n, pixels, memory = (12, 32, 100_000) if small else (1000, 224, 1_500_000_000)
    with tempfile.TemporaryDirectory() as folder:
        ours = measured(alone, n, pixels, memory, folder)
    claim = (
        f"a convolution's {CHANNELS * pixels**2:,} units on {n} images → {N_UNITS} units, "
        f"{', '.join(METRICS)}, 100 bootstrap samples: resident memory above the network and the images"
    )
    return [megabytes("wide_memory", claim, ours.peak_mb, 3000, ours.seconds)]


def alone(start: Callable[[], None], n: int, pixels: int, memory: int, folder: str) -> None:
    """Ours in a process and a cache of its own."""
    os.environ["BRAINALIGN_CACHE"] = folder
    network = nn.Sequential(nn.Conv2d(3, CHANNELS, 1)).eval()
    stimuli = images(n, pixels)
    region = recording(stimuli, N_UNITS)
    start()
    evaluate(
        ("wide", network),
        region,
        METRICS,
        layers=["0"],
        preprocessing=Preprocessing(size=pixels),
        n_resamples=100,
        batch_size=BATCH,
        memory=memory,
        cache=False,
    )
