"""What a kernel of the family ``gram`` is: a similarity of a layer's Gram matrix and a region's responses."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int

from brainalign.errors import ResponsesError

GramMatrix = Float[np.ndarray, "n n"]
Responses = Float[np.ndarray, "n unit"]
Multiplicity = Int[np.ndarray, "resample n"]
Axes = Float[np.ndarray, "n axis"]
Resampler = Callable[[GramMatrix], Float[np.ndarray, " resample"]]
"""From a layer's Gram matrix, its likeness to a region in every resample of the stimuli."""

NEGLIGIBLE = 1e-12
"""Share of a Gram matrix's own size under which what is left of it is rounding."""

RESOLUTION = 1e-6
"""Share of the largest eigenvalue under which a Gram matrix of float32 features holds no direction."""

N_PERMUTATIONS = 1000


class GramKernel(Protocol):
    """A similarity of two representations of the same n stimuli, the layer's by its Gram matrix alone.

    The features and the responses may be centred on any point.
    """

    @property
    def jackknifed(self) -> bool | None:
        """Say whether resamples are those of `brainalign.metrics.jackknife`, with what pairs add.

        None where they are exact, those of copies, so that they can be had with stimuli left out.
        """
        ...

    def value(self, gram: GramMatrix, responses: Responses) -> float:
        """Compare a layer with a region; NaN where the value would mean nothing."""
        ...

    def resampler(self, responses: Responses, multiplicity: Multiplicity) -> Resampler:
        """Prepare to compare layers with a region in every resample, given how often it drew each stimulus."""
        ...

    def chance(self, gram: GramMatrix, responses: Responses) -> float:
        """Give the expectation when the stimuli of one side are permuted."""
        ...

    def note(self, gram: GramMatrix, responses: Responses) -> str:
        """Say why there is no value, or what it must be read with; empty where nothing needs saying."""
        ...


def gram_of(responses: Responses) -> GramMatrix:
    """Inner products of the responses, each unit centred on its mean."""
    centred = responses - responses.mean(axis=0)
    return centred @ centred.T


def centred_gram(gram: GramMatrix) -> GramMatrix:
    """Centre the features on their mean; zero if no more than rounding is left."""
    gram = np.asarray(gram, dtype=np.float64)
    rows = gram.mean(axis=0)
    centred = gram - rows[:, None] - rows + rows.mean()
    size = np.abs(gram).max()
    return centred if np.abs(centred).max() > NEGLIGIBLE * size else np.zeros_like(gram)


def layer_axes(gram: GramMatrix) -> tuple[Axes, Float[np.ndarray, " axis"]]:
    """Principal axes of a layer over the stimuli, and its length along each (a singular value), longest first.

    Costs O(n³). Directions under `RESOLUTION` are left out: whitening would blow up their rounding.
    """
    eigenvalues, axes = np.linalg.eigh(centred_gram(gram))
    held = eigenvalues > max(RESOLUTION * eigenvalues[-1], 0.0)
    return axes[:, held][:, ::-1], np.sqrt(eigenvalues[held][::-1])


def region_axes(responses: Responses) -> tuple[Axes, Float[np.ndarray, " axis"]]:
    """Principal axes of a region over the stimuli, and its length along each, as `layer_axes` gives them."""
    centred = responses - responses.mean(axis=0)
    axes, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    held = lengths > max(np.sqrt(RESOLUTION) * lengths[0], NEGLIGIBLE * np.abs(responses).max())
    return axes[:, held], lengths[held]


def to_first_order(
    value: float, influence: Float[np.ndarray, " n"], multiplicity: Multiplicity
) -> Float[np.ndarray, " resample"]:
    r"""Value in every resample to first order in the weights of the stimuli, the infinitesimal jackknife.

    .. math:: f(m) \approx f + \sum_i \Big(\frac{n\,m_i}{\sum_j m_j} - 1\Big)\,
        \frac{\partial f}{\partial w_i}\Big|_{w = 1}

    For measures that fit an alignment: fitted to copies it finds them on both sides, so that the ordinary
    bootstrap is biased upwards and its spread is not the sampling error.

    Parameters
    ----------
    value
        What the measure is when each stimulus counts once.
    influence
        Its derivative by the weight of each stimulus.
    multiplicity
        How often each resample drew each stimulus; NaN is given where it drew none.

    References
    ----------
    Jaeckel (1972), Bell Laboratories memorandum MM 72-1215-11; Efron (1982), The Jackknife, the Bootstrap and
    Other Resampling Plans, ch. 6.
    """
    drawn = multiplicity.sum(axis=1, keepdims=True)
    share = np.divide(
        multiplicity * multiplicity.shape[1], drawn, out=np.full(multiplicity.shape, np.nan), where=drawn > 0
    )
    return value + (share - 1) @ influence


def mean_over_permutations(similarity: Callable[[Int[np.ndarray, " n"]], float], n: int) -> float:
    """Mean of a similarity over `N_PERMUTATIONS` orders of the stimuli of one side, drawn from a fixed seed."""
    generator = np.random.default_rng(0)
    return float(np.mean([similarity(generator.permutation(n)) for _ in range(N_PERMUTATIONS)]))


def check_sides(name: str, gram: np.ndarray, responses: np.ndarray) -> None:
    """Raise unless a Gram matrix and responses are finite and over the same four stimuli or more."""
    n = len(gram)
    if gram.shape != (n, n) or len(responses) != n or responses.shape[1] < 1 or n < 4:
        raise ResponsesError(
            f"{name} was asked for from a Gram matrix of shape {gram.shape} and responses of shape "
            f"{responses.shape}; give a square matrix and the responses of one unit or more to the same four "
            "stimuli or more."
        )
    if not (np.isfinite(gram).all() and np.isfinite(responses).all()):
        raise ResponsesError(
            f"{name} was asked for from a Gram matrix or responses with NaN or infinite values; leave out "
            "these stimuli or units."
        )
