"""Feature maps whole, pooled, randomly sampled or randomly projected, as asked."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Float, Int
from sklearn.random_projection import SparseRandomProjection, johnson_lindenstrauss_min_dim

from brainalign.errors import UnknownNameError
from brainalign.names import unknown_name


@dataclass(frozen=True)
class Reduction:
    """How the feature maps of a layer are brought down before they are compared.

    Parameters
    ----------
    kind
        ``whole`` keeps every unit; ``pool`` averages maps over a grid of `grid` × `grid` places;
        ``sample`` keeps `n_sampled` units drawn at random without replacement, the same for every stimulus
        and for every layer of the same size, and layers of no more units whole; ``project`` projects
        more units than the Johnson–Lindenstrauss bound asks for onto that many (Achlioptas/Li sparse
        signs, squared distances kept within a factor 1 ± `distortion`) and one column more, which holds
        each pattern's mean over units.
    grid
        Side of the grid of ``pool``.
    distortion
        The bound's epsilon of ``project``.
    n_sampled
        Units that ``sample`` draws.
    seed
        Seed of the projection or the draw.
    """

    kind: str = "whole"
    grid: int = 7
    distortion: float = 0.1
    n_sampled: int = 1000
    seed: int = 0

    @classmethod
    def parse(cls, text: str) -> "Reduction":
        """Read ``whole``, ``pool:7``, ``sample:1000``, ``project`` or ``project:0.2``.

        Examples
        --------
        >>> Reduction.parse("pool:4").grid
        4
        """
        kind, _, value = text.partition(":")
        if kind not in ("whole", "pool", "sample", "project"):
            raise unknown_name("reduction", text, ["whole", "pool:7", "sample:1000", "project", "project:0.2"])
        try:
            if kind in ("pool", "sample") and value:
                number = int(value)
                if number < 1:
                    raise ValueError
                return cls("pool", grid=number) if kind == "pool" else cls("sample", n_sampled=number)
            if kind == "project" and value:
                distortion = float(value)
                if not 0 < distortion < 1:
                    raise ValueError
                return cls("project", distortion=distortion)
            if value or kind == "sample":
                raise ValueError
        except ValueError:
            raise UnknownNameError(
                f"Reduction {text!r} is malformed; expected 'whole', 'pool:GRID' or 'sample:UNITS' with a "
                "whole number of at least 1, or 'project:DISTORTION' with a number between 0 and 1."
            ) from None
        return cls(kind)

    def describe(self) -> str:
        """Give a text that is the same for the same reduction."""
        if self.kind == "pool":
            return f"pool:{self.grid}"
        if self.kind == "sample":
            return f"sample:{self.n_sampled}:seed{self.seed}"
        if self.kind == "project":
            return f"project:{self.distortion!r}:seed{self.seed}"
        return "whole"

    def __call__(self, output: torch.Tensor, n_stimuli: int) -> np.ndarray:
        """Flatten one batch of outputs, (batch, …) to (batch, column); it may share the output's memory.

        Parameters
        ----------
        output
            Outputs; ``pool`` takes those of four dimensions for (batch, channel, height, width).
        n_stimuli
            Stimuli in all, which the bound of ``project`` depends on.
        """
        dtype = torch.float64 if output.dtype == torch.float64 else torch.float32
        pooled = self.pooled_shape(output)
        if pooled != output.shape[1:]:
            output = torch.nn.functional.adaptive_avg_pool2d(output.to(dtype), (pooled[1], pooled[2]))
        if self.kind == "sample" and output[0].numel() > self.n_sampled:
            drawn = _sampled_units(output[0].numel(), self.n_sampled, self.seed)
            output = output.reshape(len(output), -1)[:, torch.from_numpy(drawn).to(output.device)]
        features = output.to("cpu", dtype).reshape(len(output), -1).numpy()
        return self._projected(features, n_stimuli) if self.kind == "project" else features

    def pooled_shape(self, output: torch.Tensor) -> torch.Size:
        """Give the shape of one stimulus's output, after pooling if there is any, before all else."""
        shape = output.shape[1:]
        if self.kind != "pool" or output.ndim != 4:
            return shape
        return torch.Size([shape[0], min(shape[1], self.grid), min(shape[2], self.grid)])

    def n_units(self, output: torch.Tensor, n_columns: int) -> int:
        """Count the units that the columns of a reduced output stand for; of a sample, those drawn."""
        return output[0].numel() if self.kind == "project" else n_columns

    def _projected(self, features: np.ndarray, n_stimuli: int) -> np.ndarray:
        """Project each pattern less its mean; the last column is √units times the mean.

        So inner products keep to the bound, and what a pattern's mean adds to them is exact: the
        correlation of patterns is the cosine of their parts without the mean.
        """
        n_units = features.shape[1]
        n_components = max(1, int(johnson_lindenstrauss_min_dim(n_stimuli, eps=self.distortion)))
        if n_units <= n_components + 1:
            return features
        means = features.mean(axis=1, dtype=np.float64).astype(features.dtype)
        projected = _projection(n_units, n_components, self.seed) @ (features - means[:, None]).T
        return np.column_stack([projected.T, math.sqrt(n_units) * means]).astype(features.dtype)


def sum_weights(n_columns: int, n_units: int) -> Float[np.ndarray, " column"]:
    """Weights by which the columns of reduced features add up to each pattern's sum over its units.

    Examples
    --------
    >>> sum_weights(3, 3), sum_weights(3, 400)
    (array([1., 1., 1.]), array([ 0.,  0., 20.]))
    """
    if n_columns == n_units:
        return np.ones(n_columns)
    weights = np.zeros(n_columns)
    weights[-1] = math.sqrt(n_units)
    return weights


# Both wide enough for the widths of a network, which come by turns in each batch of stimuli.
@lru_cache(maxsize=128)
def _sampled_units(n_units: int, n_sampled: int, seed: int) -> Int[np.ndarray, " column"]:
    """Draw units without replacement, in the layer's own order."""
    return np.sort(np.random.default_rng(seed).choice(n_units, n_sampled, replace=False, shuffle=False))


@lru_cache(maxsize=32)
def _projection(n_units: int, n_components: int, seed: int) -> scipy.sparse.csr_matrix:
    projection = SparseRandomProjection(random_state=seed).set_params(n_components=n_components)
    return projection.fit(np.zeros((1, n_units), dtype=np.float32)).components_.tocsr()
