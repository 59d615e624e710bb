"""How time grows with stimuli and layers, and what further metrics cost once a network is probed."""

import os
import tempfile
from collections.abc import Callable

import numpy as np
from torch import nn

from benchmarks.networks import untrained
from benchmarks.rows import Curve, Row, times_floor
from benchmarks.simulated import features_and_responses, ids, images, recording
from benchmarks.timing import fastest, measured, timed
from brainalign import Preprocessing, Representation, evaluate, find_metric
from brainalign.compare.predictivity import centred_blocks
from brainalign.compare.splits import train_test_splits
from brainalign.metrics.cka import cka, gram_of
from brainalign.metrics.rdm import rdm_from_features

N_FEATURES, N_UNITS = 4096, 100

METRICS = [
    "ridge",
    "pls",
    "cka",
    "rsa",
    "rsa:rdm=euclidean,compare=pearson",
    "ridge_fixed",
    "pcr",
    "procrustes",
    "rsa:compare=cosine",
    "reverse_ridge",
]
"""Ten metrics; the first is timed with probing, the others together on what was kept."""


def measure(small: bool) -> list[Row | Curve]:
    """Measure the curves and the ten metrics."""
    return [*_over_stimuli(small), _over_layers(small), _ten_metrics(small)]


def _over_stimuli(small: bool) -> list[Curve]:
    sizes = [40, 60, 80] if small else [250, 500, 1000, 2000, 4000]
    seconds: dict[str, list[float]] = {name: [] for name in STEPS}
    for n in sizes:
        features, responses = features_and_responses(n, N_FEATURES, N_UNITS)
        layer = Representation.from_features(features, ids(n))
        ways = {name: _bound(step, features, layer, responses) for name, (step, _) in STEPS.items()}
        for name, run in fastest(1 if n > 2000 else 3, ways).items():
            seconds[name].append(run.seconds)
    return [
        Curve(f"scaling_stimuli_{name.split()[0].lower()}", name, "stimuli", sizes, seconds[name], theory)
        for name, (_, theory) in STEPS.items()
    ]


Step = Callable[[np.ndarray, Representation, np.ndarray], object]


def _bound(step: Step, *given) -> Callable[[], object]:
    return lambda: step(*given)


def _regression(name: str) -> Step:
    kernel = find_metric(name).kernel

    def one_split(_features: np.ndarray, layer: Representation, responses: np.ndarray) -> object:
        train, test = train_test_splits(len(responses))[0]
        return kernel(*centred_blocks(layer.gram, train, test), responses[train])

    return one_split


def _gram(features: np.ndarray, _layer: Representation, _responses: np.ndarray) -> object:
    return Representation.from_features(features, ids(len(features)))


def _rsa(_features: np.ndarray, layer: Representation, responses: np.ndarray) -> object:
    kernel = find_metric("rsa").kernel
    subject = rdm_from_features(responses, kernel.method)
    once = np.ones((1, len(responses)), dtype=np.int64)
    return kernel.resampled(kernel.rdm(layer)[None], subject[None], once)


def _cka(_features: np.ndarray, layer: Representation, responses: np.ndarray) -> object:
    return cka(layer.gram, gram_of(responses))


STEPS: dict[str, tuple[Step, float]] = {
    f"Gram matrix of {N_FEATURES} features": (_gram, 2.0),
    "RSA, correlation distance and Spearman": (_rsa, 2.0),
    "CKA, debiased": (_cka, 2.0),
    "PLS-25, one split": (_regression("pls"), 2.0),
    "Ridge by leave-one-out, one split": (_regression("ridge"), 3.0),
}
"""Steps by what they are, with the power of the number of stimuli that their operations grow by."""


class Chain(nn.Module):
    """As many equal convolutions, each with its ReLU, as asked."""

    def __init__(self, n_layers: int):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.layers = nn.Sequential(
            *(nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()) for _ in range(n_layers))
        )

    def forward(self, x):
        """Apply one layer after the other."""
        return self.layers(self.first(x))


def _over_layers(small: bool) -> Curve:
    sizes, n = ([2, 4], 12) if small else ([5, 10, 20, 50], 200)
    stimuli, preprocessing = images(n, 32), Preprocessing(size=32)
    region = recording(stimuli, 20)
    seconds = []
    for n_layers in sizes:
        layers = [f"layers.{k}" for k in range(n_layers)]
        chain = Chain(n_layers)
        run = timed(
            lambda chain=chain, layers=layers: evaluate(
                ("chain", chain),
                region,
                ["ridge", "rsa", "cka"],
                layers=layers,
                preprocessing=preprocessing,
                n_resamples=100,
                cache=False,
            )
        )
        seconds.append(run.seconds)
    claim = f"Layers of a chain of convolutions on {n} images, ridge, RSA and CKA, probing included"
    return Curve("scaling_layers", claim, "layers", sizes, seconds, 1.0)


def _ten_metrics(small: bool) -> Row:
    n, size, n_resamples = (12, 32, 10) if small else (200, 224, 1000)
    with tempfile.TemporaryDirectory() as folder:
        run = measured(alone, n, size, n_resamples, folder)
    n_layers, first, further = run.result
    return times_floor(
        "scaling_ten_metrics",
        f"VGG16, {n_layers} layers, {n} images at {size} pixels → {N_UNITS} units, ten metrics: the second to "
        f"tenth together against the first, {METRICS[0]}, with probing",
        further,
        first,
        2,
        run.peak_mb,
    )


def alone(
    start: Callable[[], None], n: int, size: int, n_resamples: int, folder: str
) -> tuple[int, float, float]:
    """Score by the first metric, then by the nine others, in a process and a cache of their own."""
    os.environ["BRAINALIGN_CACHE"] = folder
    network, stimuli = untrained("vgg16"), images(n, size)
    region = recording(stimuli, N_UNITS, n_repeats=2)
    kinds = nn.ReLU | nn.MaxPool2d
    layers = [name for name, module in network.named_modules() if isinstance(module, kinds)]
    options = {"layers": layers, "preprocessing": Preprocessing(size=size), "n_resamples": n_resamples}
    start()
    first = timed(lambda: evaluate(("vgg16", network), region, METRICS[:1], **options))
    further = timed(lambda: evaluate(("vgg16", network), region, METRICS[1:], **options))
    return len(layers), first.seconds, further.seconds
