"""Feature maps whole, pooled, or randomly projected, as asked."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import scipy.sparse
import torch
from sklearn.random_projection import SparseRandomProjection, johnson_lindenstrauss_min_dim

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.names import unknown_name


@dataclass(frozen=True)
class Reduction:
    """How the feature maps of a layer are brought down before they are compared.

    Parameters
    ----------
    kind
        ``whole`` keeps every unit; ``pool`` averages maps over a grid of `grid` × `grid` places;
        ``project`` projects more units than the Johnson–Lindenstrauss bound asks for onto that many
        (Achlioptas/Li sparse signs, squared distances kept within a factor 1 ± `distortion`).
    grid
        Side of the grid of ``pool``.
    distortion
        The bound's epsilon of ``project``.
    seed
        Seed of the projection.
    """

    kind: str = "whole"
    grid: int = 7
    distortion: float = 0.1
    seed: int = field(default=0)

    @classmethod
    def parse(cls, text: str) -> "Reduction":
        """Read ``whole``, ``pool:7``, ``project`` or ``project:0.2``.

        Examples
        --------
        >>> Reduction.parse("pool:4").grid
        4
        """
        kind, _, value = text.partition(":")
        if kind not in ("whole", "pool", "project"):
            raise unknown_name("reduction", text, ["whole", "pool:7", "project", "project:0.2"])
        try:
            if kind == "pool" and value:
                grid = int(value)
                if grid < 1:
                    raise ValueError
                return cls("pool", grid=grid)
            if kind == "project" and value:
                distortion = float(value)
                if not 0 < distortion < 1:
                    raise ValueError
                return cls("project", distortion=distortion)
            if value:
                raise ValueError
        except ValueError:
            raise UnknownNameError(
                f"Reduction {text!r} is malformed; expected 'whole', 'pool:GRID' with a whole number of at "
                "least 1, or 'project:DISTORTION' with a number between 0 and 1."
            ) from None
        return cls(kind)

    def describe(self) -> str:
        """Give a text that is the same for the same reduction."""
        if self.kind == "pool":
            return f"pool:{self.grid}"
        if self.kind == "project":
            return f"project:{self.distortion:g}:seed{self.seed}"
        return "whole"

    def __call__(self, output: torch.Tensor, n_stimuli: int) -> np.ndarray:
        """Flatten one batch of outputs, (batch, …) to a new array (batch, unit)."""
        if self.kind == "pool" and output.ndim == 4 and max(output.shape[2:]) > self.grid:
            output = torch.nn.functional.adaptive_avg_pool2d(output, self.grid)
        dtype = torch.float64 if output.dtype == torch.float64 else torch.float32
        features = output.flatten(1).to("cpu", dtype, copy=True).numpy()
        if self.kind != "project":
            return features
        n_components = int(johnson_lindenstrauss_min_dim(n_stimuli, eps=self.distortion))
        if features.shape[1] <= n_components:
            return features
        signs = _projection(features.shape[1], n_components, self.seed)
        return np.ascontiguousarray((signs @ features.T).T.astype(features.dtype))


@lru_cache(maxsize=4)
def _projection(n_units: int, n_components: int, seed: int) -> scipy.sparse.csr_matrix:
    if n_units < 1:
        raise BrainalignError("A layer without units cannot be projected.")
    projection = SparseRandomProjection(random_state=seed).set_params(n_components=n_components)
    return projection.fit(np.empty((1, n_units), dtype=np.float32)).components_.tocsr()
