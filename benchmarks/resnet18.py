"""What probing every block of ResNet-18 adds to its bare forward pass."""

from collections.abc import Callable

from torch import nn

from benchmarks.networks import BATCH, forward, untrained
from benchmarks.rows import Row, times_floor
from benchmarks.simulated import images
from benchmarks.timing import fastest, measured
from brainalign import Preprocessing, StimulusSet, probe
from brainalign.probing.freed_memory import freed_memory_kept

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
            "keeping": lambda: _forward_keeping(network, stimuli, preprocessing),
        },
    )
    keeping = runs["ours"].seconds / runs["keeping"].seconds
    return [
        times_floor(
            "resnet18_forward",
            f"ResNet-18 (random weights), {len(BLOCKS)} blocks, {len(stimuli)} images at {preprocessing.size} "
            "pixels, probe: against the bare forward, batches and preprocessing as in the probe "
            f"({keeping:.3g} of one that keeps freed memory, as the probe does)",
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


def _forward_keeping(network: nn.Module, stimuli: StimulusSet, preprocessing: Preprocessing) -> None:
    """Show the stimuli without giving freed memory back between batches."""
    with freed_memory_kept():
        forward(network, stimuli, preprocessing)


def _shown(small: bool) -> tuple[StimulusSet, Preprocessing]:
    n, size = (6, 64) if small else (92, 224)
    return images(n, size), Preprocessing(size=size)
