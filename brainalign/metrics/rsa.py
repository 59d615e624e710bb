"""Representational similarity analysis: the metric made of a dissimilarity and a comparator."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics.comparators import COMPARATORS, find_comparator
from brainalign.metrics.crossnobis import crossnobis, mahalanobis
from brainalign.metrics.metric import Metric
from brainalign.metrics.noise_precision import find_shrinkage, noise_covariance, noise_precision
from brainalign.metrics.rdm import RDM_METHODS, find_rdm_method, rdm_from_features
from brainalign.metrics.stimulus_noise import stimulus_variances
from brainalign.metrics.weighted import resampled_comparison
from brainalign.names import snake_case, unknown_name
from brainalign.probing import Representation

Array = np.ndarray

RESOLUTION = 1e-6
"""Share of the largest squared distance from the mean pattern under which float32 products hold none."""

NOISE_NORMALISED: tuple[str, ...] = ("mahalanobis", "crossnobis")
"""Dissimilarities of recorded repeats; a network, which has no noise, has squared Euclidean ones instead."""

WHITENABLE: tuple[str, ...] = ("squared_euclidean", *NOISE_NORMALISED)
"""Squared distances, whose noise covaries as whitened comparators take it to."""

STIMULUS_NOISE = ("equal", "estimated")


@dataclass(frozen=True)
class RdmKernel:
    """A dissimilarity between patterns, a comparator between matrices, and what both take noise to be."""

    method: str
    comparator: str
    shrinkage: str = "diagonal"
    stimulus_noise: str = "equal"

    @property
    def needs_repeats(self) -> bool:
        """Whether the region's single repeats are needed."""
        return self.method in NOISE_NORMALISED or self.stimulus_noise == "estimated"

    def rdm(self, layer: Representation) -> Float[Array, " pair"]:
        """Dissimilarity of each pair of stimuli in a layer, condensed.

        A layer has no noise to normalise: where the region's RDM is ``mahalanobis`` or ``crossnobis``, the
        layer's is ``squared_euclidean``.

        Raises
        ------
        ResponsesError
            Patterns so faint beside the others that their correlation or cosine distance is undefined.
        """
        if "translation" in INVARIANCES[self.method]:
            method = "squared_euclidean" if self.method in NOISE_NORMALISED else self.method
            # The common mean does not matter, and the centred matrix loses fewer digits.
            return RDM_METHODS[method](layer.gram, layer.row_sums, layer.n_units)
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

    def of_subject(
        self, mean: Float[Array, "stimulus unit"], repeats: Float[Array, "stimulus unit repeat"] | None
    ) -> tuple[Float[Array, " pair"], Float[Array, " stimulus"] | None]:
        """Dissimilarities of one subject's patterns, and the stimuli's noise variances if they are estimated.

        Noise is estimated from the residuals around the means, over all stimuli at once: they say nothing of
        how stimuli are told apart.

        Raises
        ------
        ResponsesError
            Patterns for which the dissimilarity is undefined, or repeats that do not allow it.
        """
        if not self.needs_repeats:
            return rdm_from_features(mean, self.method), None
        if repeats is None:
            raise ResponsesError(f"The RDM method {self.method!r} was asked for without repeats; give them.")
        covariance = noise_covariance(repeats, self.shrinkage)
        if self.method in NOISE_NORMALISED:
            precision = noise_precision(covariance)
            unbiased = self.method == "crossnobis"
            rdm = crossnobis(repeats, precision) if unbiased else mahalanobis(mean, precision)
        else:
            precision, rdm = np.eye(mean.shape[1]), rdm_from_features(mean, self.method)
        if self.stimulus_noise == "equal":
            return rdm, None
        return rdm, stimulus_variances(repeats, covariance, precision)

    def resampled(
        self,
        layers: Float[Array, "layer pair"],
        subjects: Float[Array, "subject pair"],
        multiplicity: Int[Array, "resample stimulus"],
        variances: Float[Array, "subject stimulus"] | None = None,
    ) -> Float[Array, "layer resample subject"]:
        """Compare each layer with each subject in each bootstrap sample of the stimuli."""
        return resampled_comparison(layers, subjects, multiplicity, self.comparator, variances)


def rsa(
    rdm: str = "correlation",
    compare: str = "spearman",
    shrinkage: str = "diagonal",
    stimulus_noise: str = "equal",
) -> Metric:
    """Representational similarity: a layer's dissimilarity matrix against each subject's.

    Parameters
    ----------
    rdm
        A name in `RDM_METHODS`, or ``mahalanobis`` or ``crossnobis``: the region's distances are then
        normalised by the noise between repeats of its units, subject by subject, and the layer's, which has no
        noise, are squared Euclidean ones.
    compare
        A name in `COMPARATORS`; ``cosine_cov`` and ``corr_cov`` are for squared distances only.
    shrinkage
        What the units' noise covariance is shrunk towards: ``diagonal`` or ``identity``.
    stimulus_noise
        For whitened comparators, whether stimuli's mean patterns are ``equal`` in noise, or by how much they
        differ in it is ``estimated`` from their repeats.

    Raises
    ------
    UnknownNameError
        An unknown name, or one that does not go with the others.
    """
    rdm, compare = find_rdm_method(rdm, also=NOISE_NORMALISED), find_comparator(compare)
    shrinkage, stimulus_noise = find_shrinkage(shrinkage), snake_case(stimulus_noise)
    if stimulus_noise not in STIMULUS_NOISE:
        raise unknown_name("stimulus noise", stimulus_noise, STIMULUS_NOISE)
    kernel = RdmKernel(rdm, compare, shrinkage, stimulus_noise)
    comparator = COMPARATORS[compare]
    _check_options(kernel)
    what = f"{rdm} RDMs (the network's squared Euclidean)" if rdm in NOISE_NORMALISED else f"{rdm} RDMs"
    return Metric(
        name="rsa",
        family="rdm",
        kernel=kernel,
        needs=frozenset({"gram", "responses", "repeats"} if kernel.needs_repeats else {"gram", "rdm"}),
        range=(-1.0, 1.0),
        symmetric=not kernel.needs_repeats,
        invariances=INVARIANCES[rdm],
        chance=comparator.chance,
        label=f"{comparator.label}, {what.replace('_', ' ')}, mean over subjects",
        citation=_citation(kernel),
        options={"rdm": rdm, "compare": compare, "shrinkage": shrinkage, "stimulus_noise": stimulus_noise},
    )


def _check_options(kernel: RdmKernel) -> None:
    """Refuse options that do not go together."""
    whitened = COMPARATORS[kernel.comparator].whitened
    if whitened and kernel.method not in WHITENABLE:
        raise UnknownNameError(
            f"rsa:rdm={kernel.method} cannot be compared by {kernel.comparator}, which divides out how squared "
            f"distances covary; use rdm={', '.join(WHITENABLE[:-1])} or {WHITENABLE[-1]}."
        )
    if kernel.stimulus_noise == "estimated" and not whitened:
        raise UnknownNameError(
            f"rsa:compare={kernel.comparator} does not weigh stimuli by their noise; use "
            "stimulus_noise=estimated with compare=cosine_cov or corr_cov."
        )
    if kernel.shrinkage != "diagonal" and not kernel.needs_repeats:
        raise UnknownNameError(
            f"rsa:rdm={kernel.method} has no noise covariance to shrink; use shrinkage with rdm=mahalanobis or "
            "crossnobis."
        )


def _citation(kernel: RdmKernel) -> str:
    sources = ["Kriegeskorte, Mur & Bandettini 2008"]
    if kernel.method in NOISE_NORMALISED:
        sources.append("distances: Walther et al. 2016")
    if COMPARATORS[kernel.comparator].whitened:
        sources.append("comparator: Diedrichsen et al. 2021")
    return "; ".join([*sources, "ceilings: Nili et al. 2014"])


INVARIANCES: dict[str, frozenset] = {
    "euclidean": frozenset({"rotation", "scaling", "translation"}),
    "squared_euclidean": frozenset({"rotation", "scaling", "translation"}),
    "correlation": frozenset({"scaling"}),
    "cosine": frozenset({"rotation", "scaling"}),
    "mahalanobis": frozenset({"rotation", "scaling", "translation"}),
    "crossnobis": frozenset({"rotation", "scaling", "translation"}),
}
