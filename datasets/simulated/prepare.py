"""A simulated recording with a known answer: three regions that look at crops of photographs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy.stats import poisson
from skimage import data
from sklearn.datasets import load_sample_image

from brainalign.data.recording import Recording
from brainalign.data.responses import make_responses
from brainalign.data.stimuli import StimulusSet
from brainalign.networks import Gabor, load_network, preprocessing_of

Array = np.ndarray

SEED = 2008
N_UNITS = 48
N_REPEATS = 8

# Each of these lies in the wheel of scikit-learn or scikit-image; none is downloaded.
SCIKIT_LEARN = ("china", "flower")
SCIKIT_IMAGE = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "immunohistochemistry",
)
CROP = 128  # pixels of the photograph; a stimulus has half as many
LEAST_CONTRAST = 15.0  # standard deviation over pixels, of 255: leaves out sky and blurred ground

MEAN_COUNT = (6.0, 10.0)
VARIATION = (0.25, 0.5)  # standard deviation of a unit's rate over stimuli, by its mean
LEAST_COUNT = 0.5

FIELD_WIDTH = 0.1  # standard deviation of V1's receptive fields, by the image's width
FIELD_CENTRES = (0.2, 0.8)
TUNING = 2.0  # concentration: half width at half height of 25 degrees

IT_NETWORK, IT_LAYER = "convnet@untrained:7", "blocks.3"
N_COMPONENTS = 30


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Show the stimuli to the simulated units, eight times each."""
    stimuli = make_stimuli(name)
    responses = {
        region: make_responses(
            poisson_counts(rates, np.random.default_rng([SEED, 1, index])),
            stimuli.ids,
            region=region,
            subject="simulated",
            dims=("stimulus", "unit", "repeat"),
        )
        for index, (region, rates) in enumerate(true_rates(stimuli).items())
    }
    return Recording(name, stimuli, responses)


def make_stimuli(name: str) -> StimulusSet:
    """Cut the photographs into squares on a grid, without overlap; leave out those of little contrast."""
    photographs = {each: load_sample_image(f"{each}.jpg") for each in SCIKIT_LEARN}
    photographs |= {each: getattr(data, each)() for each in SCIKIT_IMAGE}
    rows, images = {}, {}
    for photograph, pixels in photographs.items():
        for top in range(0, pixels.shape[0] - CROP + 1, CROP):
            for left in range(0, pixels.shape[1] - CROP + 1, CROP):
                crop = half_size(pixels[top : top + CROP, left : left + CROP])
                if crop.std() >= LEAST_CONTRAST:
                    stimulus = f"{photograph}_{top // CROP}_{left // CROP}"
                    images[stimulus] = crop
                    rows[stimulus] = {"photograph": photograph, "top": top, "left": left}
    metadata = pd.DataFrame.from_dict(rows, orient="index").rename_axis("stimulus")
    return StimulusSet(name, metadata, images)


def half_size(pixels: Array) -> Array:
    """Average squares of two by two pixels."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    squares = pixels.reshape(height, 2, width, 2, -1).mean(axis=(1, 3))
    return np.rint(squares).astype(np.uint8).squeeze()


def true_rates(stimuli: StimulusSet) -> dict[str, Array]:
    """Give each region's expected counts (stimulus, unit), from which Poisson counts are drawn."""
    images = [stimuli.image(stimulus) for stimulus in stimuli.ids]
    v1 = as_rates(complex_cells(images, np.random.default_rng([SEED, 2])), np.random.default_rng([SEED, 3]))
    it = as_rates(layer_read_outs(images, np.random.default_rng([SEED, 4])), np.random.default_rng([SEED, 5]))
    dealt = np.random.default_rng([SEED, 6]).permutation(len(images))
    return {"simulated_V1": v1, "simulated_IT": it, "simulated_shuffled": it[dealt]}


def complex_cells(images: list[Image.Image], generator: np.random.Generator) -> Array:
    """Sum Gabor energies with weights of no sign: a place, an orientation and a wavelength for each unit."""
    gabor = Gabor()
    with torch.inference_mode():
        maps = [energy.double().numpy() for energy in gabor.energy.maps(gabor.preprocessing(images))]
    orientations = np.deg2rad(gabor.energy.orientations)
    drive = np.empty((len(images), N_UNITS))
    for unit in range(N_UNITS):
        energy = maps[generator.integers(len(maps))]
        preferred = generator.uniform(0, np.pi)
        tuning = np.exp(TUNING * (np.cos(2 * (orientations - preferred)) - 1))
        down, across = (
            np.exp(
                -(((np.arange(n) + 0.5) / n - generator.uniform(*FIELD_CENTRES)) ** 2) / (2 * FIELD_WIDTH**2)
            )
            for n in energy.shape[2:]
        )
        drive[:, unit] = np.einsum("sorc,o,r,c->s", energy, tuning, down, across, optimize=True)
    return drive


def layer_read_outs(images: list[Image.Image], generator: np.random.Generator) -> Array:
    """Mix at random the layer's leading principal components over these stimuli.

    Each enters with the square root of the variance that it has in the layer: less unequal, so that the
    lesser ones, which tell layers apart, are heard above the noise.
    """
    network = load_network(IT_NETWORK)
    answers: list[torch.Tensor] = []
    hook = network.get_submodule(IT_LAYER).register_forward_hook(lambda *call: answers.append(call[2]))
    with torch.inference_mode():
        network(preprocessing_of(network)(images))
    hook.remove()
    features = answers[0].flatten(1).double().numpy()
    centred = features - features.mean(axis=0)
    variances, axes = np.linalg.eigh(centred @ centred.T)
    variances, axes = variances[-N_COMPONENTS:], axes[:, -N_COMPONENTS:]
    # An eigenvector's sign is arbitrary; without a rule it would differ between machines.
    signs = np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0))
    return (signs * axes * variances**0.25) @ generator.standard_normal((N_COMPONENTS, N_UNITS))


def as_rates(drive: Array, generator: np.random.Generator) -> Array:
    """Scale each unit's drive to a mean count and a variation of its own, never below half a spike."""
    standard = (drive - drive.mean(axis=0)) / drive.std(axis=0)
    mean = generator.uniform(*MEAN_COUNT, drive.shape[1])
    variation = generator.uniform(*VARIATION, drive.shape[1])
    return np.maximum(mean * (1 + variation * standard), LEAST_COUNT)


def poisson_counts(rates: Array, generator: np.random.Generator) -> Array:
    """Draw counts (stimulus, unit, repeat), independent from repeat to repeat.

    By the inverse of the distribution, one random number a count: a rate that differs in its last digit
    on another machine can change that count alone, not all that follow.
    """
    chances = generator.random((*rates.shape, N_REPEATS))
    return poisson.ppf(chances, rates[..., None])
