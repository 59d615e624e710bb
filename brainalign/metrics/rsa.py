"""Representational similarity analysis: the metric made of a dissimilarity and a comparator."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from brainalign.errors import ResponsesError
from brainalign.metrics.comparators import COMPARATORS, find_comparator
from brainalign.metrics.metric import Metric
from brainalign.metrics.rdm import RDM_METHODS, find_rdm_method
from brainalign.metrics.weighted import resampled_comparison
from brainalign.probing import Representation

Array = np.ndarray

RESOLUTION = 1e-6
"""Share of the largest squared distance from the mean pattern under which float32 products hold none."""


@dataclass(frozen=True)
class RdmKernel:
    """A dissimilarity between patterns and a comparator between matrices."""

    method: str
    comparator: str

    def rdm(self, layer: Representation) -> Float[Array, " pair"]:
        """Dissimilarity of each pair of stimuli in a layer, condensed.

        Raises
        ------
        ResponsesError
            Patterns so faint beside the others that their correlation or cosine distance is undefined.
        """
        if "translation" in INVARIANCES[self.method]:
            # The common mean does not matter, and the centred matrix loses fewer digits.
            return RDM_METHODS[self.method](layer.gram, layer.row_sums, layer.n_units)
        gram = layer.raw_gram()
        own = np.diagonal(gram) - (layer.row_sums**2 / layer.n_units if self.method == "correlation" else 0.0)
        faint = own <= RESOLUTION * np.diagonal(layer.gram).max()
        if faint.any():
            what = "does not vary across units" if self.method == "correlation" else "is zero"
            raise ResponsesError(
                f"The pattern of {int(faint.sum())} stimuli, such as {layer.stimuli[int(faint.argmax())]!r}, "
                f"{what} in layer {layer.layer!r}, so its {self.method} distance is undefined; leave them out, "
                "or use rsa:rdm=euclidean"
            )
        return RDM_METHODS[self.method](gram, layer.row_sums, layer.n_units)

    def resampled(
        self,
        layers: Float[Array, "layer pair"],
        subjects: Float[Array, "subject pair"],
        multiplicity: Int[Array, "resample stimulus"],
    ) -> Float[Array, "layer resample subject"]:
        """Compare each layer with each subject in each bootstrap sample of the stimuli."""
        return resampled_comparison(layers, subjects, multiplicity, self.comparator)


def rsa(rdm: str = "correlation", compare: str = "spearman") -> Metric:
    """Representational similarity: a layer's dissimilarity matrix against each subject's."""
    rdm, compare = find_rdm_method(rdm), find_comparator(compare)
    comparator = COMPARATORS[compare]
    return Metric(
        name="rsa",
        family="rdm",
        kernel=RdmKernel(rdm, compare),
        needs=frozenset({"gram", "rdm"}),
        range=(-1.0, 1.0),
        symmetric=True,
        invariances=INVARIANCES[rdm],
        chance=comparator.chance,
        label=f"{comparator.label}, {rdm.replace('_', ' ')} RDMs, mean over subjects",
        citation="Kriegeskorte, Mur & Bandettini 2008; ceilings: Nili et al. 2014",
        options={"rdm": rdm, "compare": compare},
    )


INVARIANCES: dict[str, frozenset] = {
    "euclidean": frozenset({"rotation", "scaling", "translation"}),
    "squared_euclidean": frozenset({"rotation", "scaling", "translation"}),
    "correlation": frozenset({"scaling"}),
    "cosine": frozenset({"rotation", "scaling"}),
}
