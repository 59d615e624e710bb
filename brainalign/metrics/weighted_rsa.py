r"""RSA with weighted layers: non-negative weights of the layers' RDMs, fitted to those of subjects."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

from brainalign.metrics.comparators import COMPARATORS, find_comparator
from brainalign.metrics.metric import Metric
from brainalign.metrics.rdm import find_rdm_method
from brainalign.metrics.rsa import INVARIANCES, NOISE_NORMALISED, RdmKernel
from brainalign.names import unknown_name

ADDITIVE: tuple[str, ...] = ("squared_euclidean", "correlation", "cosine", *NOISE_NORMALISED)
"""Squared distances of a network's patterns, of themselves or of them scaled to one length."""

ROUNDING = 1e-12
"""Share of an RDM's length under which what is left when its mean is taken is rounding."""

Layers = Float[np.ndarray, "layer pair"]
Targets = Float[np.ndarray, "target pair"]


def layer_weights(layers: Layers, targets: Targets, centred: bool = True) -> Float[np.ndarray, "target layer"]:
    r"""Non-negative weights with which the layers' RDMs together come closest to each target.

    .. math:: \hat w = \arg\min_{w \ge 0, c} \sum_{i<j} \Big(y_{ij} - c - \sum_l w_l\, d^2_{l,ij}\Big)^2

    Squared distances add over features, so :math:`\sum_l w_l d^2_l` is the squared distance in the space of
    all layers' features, those of layer l stretched by :math:`\sqrt{w_l}`: what is fitted is a model of one
    weight a layer, and no weight may be negative. The free constant c stands for what noise adds to each
    dissimilarity; a comparator that ignores constants needs no more of it.

    Where no layer has anything in common with a target (all its correlations, or cosines, are zero or
    less), least squares would give zero weights and no prediction; then the layer that is the least unlike it
    has all the weight. One layer alone, therefore, has always a positive weight: there is nothing to fit.
    Of layers whose RDMs coincide one takes the weight of all; only the prediction is then determined.

    Parameters
    ----------
    layers
        Condensed RDMs of squared distances.
    targets
        Condensed RDMs over the same pairs.
    centred
        Whether there is a free constant.

    Returns
    -------
    :
        Weights, zero for a layer whose RDM is constant (not `centred`: zero).

    References
    ----------
    Khaligh-Razavi & Kriegeskorte (2014), PLoS Comput Biol 10:e1003915; Storrs et al. (2021), J Cogn Neurosci
    33:2044; Kaniuth & Hebart (2022), NeuroImage 257:119294.

    Examples
    --------
    >>> layers = np.array([[1.0, 4.0, 2.0, 0.0], [3.0, 0.0, 1.0, 2.0]])
    >>> layer_weights(layers, (2 * layers[0] + 0.5 * layers[1] + 7)[None]).round(6).tolist()
    [[2.0, 0.5]]
    """
    whole_size = np.linalg.norm(layers, axis=1)
    if centred:
        layers = layers - layers.mean(axis=1, keepdims=True)
        targets = targets - targets.mean(axis=1, keepdims=True)
    size = np.linalg.norm(layers, axis=1)
    held = size > ROUNDING * whole_size
    design = layers[held] / size[held, None]
    weights = np.zeros((len(targets), len(layers)))
    if not held.any():
        return weights
    # The triangle of design and targets together holds all distances between them, with few rows.
    triangle = np.asarray(np.linalg.qr(np.vstack([design, targets]).T, mode="r"))
    n_held = len(design)
    for row, column in enumerate(triangle[:, n_held:].T):
        found, _ = nnls(triangle[:, :n_held], column)
        if not found.any():
            found[np.argmax(design @ targets[row])] = 1.0
        weights[row, held] = found / size[held]
    return weights


@dataclass(frozen=True)
class WeightedRdmKernel(RdmKernel):
    """A dissimilarity, a comparator, and weights fitted between them."""

    def weights(self, layers: Layers, subjects: Targets) -> Float[np.ndarray, "subject layer"]:
        """Fit the layers to every subject: to the mean of all others, or to a single one itself.

        Each subject's RDM is first brought to one scale as the comparator demands (z-scores, or unit length).
        The squared errors to several subjects are least where the one to their mean is.
        """
        absolute = COMPARATORS[self.comparator].absolute
        # The RDM of one who answers all pairs alike has no scale, and says nothing to the fit.
        scaled = np.nan_to_num(COMPARATORS["cosine" if absolute else "pearson"].normalise(subjects))
        if len(subjects) > 1:
            scaled = (scaled.sum(axis=0) - scaled) / (len(subjects) - 1)
        return layer_weights(layers, scaled, centred=not absolute)


def rsa_weighted(rdm: str = "squared_euclidean", compare: str = "spearman") -> Metric:
    """RSA of all layers together, one non-negative weight each, fitted on other stimuli and subjects.

    Parameters
    ----------
    rdm
        A squared distance: ``squared_euclidean``, ``correlation``, ``cosine``, or ``mahalanobis`` or
        ``crossnobis`` (the region's; the layers' are then squared Euclidean ones).
    compare
        A name in `COMPARATORS`, of those that are not whitened.

    Raises
    ------
    UnknownNameError
        A dissimilarity that does not add over features, such as ``euclidean``, or an unknown comparator.
    """
    rdm, compare = find_rdm_method(rdm, also=NOISE_NORMALISED), find_comparator(compare)
    if rdm not in ADDITIVE:
        raise unknown_name(
            "RDM method of rsa_weighted (a squared distance, which adds over features)", rdm, ADDITIVE
        )
    comparator, kernel = COMPARATORS[compare], WeightedRdmKernel(rdm, compare)
    if comparator.whitened:
        # Least squares count all pairs alike.
        plain = [name for name, other in COMPARATORS.items() if not other.whitened]
        raise unknown_name("comparator of rsa_weighted (one that counts all pairs alike)", compare, plain)
    return Metric(
        name="rsa_weighted",
        family="joint_rdm",
        kernel=kernel,
        needs=frozenset({"gram", "responses", "repeats"} if kernel.needs_repeats else {"gram", "rdm"}),
        range=(-1.0, 1.0),
        symmetric=False,
        invariances=INVARIANCES[rdm],
        chance=comparator.chance,
        label=f"{comparator.label}, weighted {rdm.replace('_', ' ')} RDMs, on held-out stimuli",
        citation="Khaligh-Razavi & Kriegeskorte 2014; Storrs et al. 2021; Kaniuth & Hebart 2022",
        options={"rdm": rdm, "compare": compare},
    )
