"""What probing every block of ResNet-18 adds to its bare forward pass."""

from collections.abc import Callable

from benchmarks.networks import BATCH, forward, untrained
from benchmarks.rows import Row, times_floor
from benchmarks.simulated import images
from benchmarks.timing import fastest, measured
from brainalign import Preprocessing, StimulusSet, probe

BLOCKS = [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]


def measure(small: bool) -> list[Row]:
    """Time probing and the bare forward by turns."""
    network = untrained("resnet18")
    stimuli, preprocessing = _shown(small)
    runs = fastest(
        1 if small else 9,
        {
            "ours": lambda: probe(
                network, stimuli, BLOCKS, preprocessing=preprocessing, batch_size=BATCH, cache=False
            ),
            "floor": lambda: forward(network, stimuli, preprocessing),
        },
    )
    return [
        times_floor(
            "resnet18_forward",
            f"ResNet-18 (random weights), {len(BLOCKS)} blocks, {len(stimuli)} images at {preprocessing.size} "
            "pixels, probe: against the bare forward, batches and preprocessing as in the probe",
            runs["ours"].seconds,
            runs["floor"].seconds,
            1.15,
            measured(alone, small).peak_mb,
        )
    ]


def alone(start: Callable[[], None], small: bool) -> None:
    """Ours in a process of its own."""
    network = untrained("resnet18")
    stimuli, preprocessing = _shown(small)
    start()
    probe(network, stimuli, BLOCKS, preprocessing=preprocessing, batch_size=BATCH, cache=False)


def _shown(small: bool) -> tuple[StimulusSet, Preprocessing]:
    n, size = (6, 64) if small else (92, 224)
    return images(n, size), Preprocessing(size=size)
