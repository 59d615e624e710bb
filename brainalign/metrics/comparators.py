"""Comparators: how alike two RDMs are, over the pairs of stimuli.

Every kernel takes one RDM and a stack of them, condensed, and gives one value each. An RDM in which all
pairs are equally dissimilar orders nothing: its value is NaN, under every comparator but ``cosine`` and
``cosine_cov``, which are NaN for an RDM of zeros only. NaN in gives NaN out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import kendalltau, rankdata

from brainalign.metrics.whitened import whiten
from brainalign.names import snake_case, unknown_name

Rdm = Float[np.ndarray, " pair"]
Rdms = Float[np.ndarray, "subject pair"]
PerSubject = Float[np.ndarray, " subject"]
Covariance = Float[np.ndarray, "n n"]


@dataclass(frozen=True)
class Comparator:
    """A comparator and its declared facts.

    Parameters
    ----------
    compare
        (RDM, RDMs) → one value for each of the RDMs. The whitened ones take a covariance as well.
    chance
        (RDM, RDM) → the exact expectation of `compare` over all orders of the stimuli of one of them.
    normalise
        What is done to each subject's RDM before a noise ceiling averages them.
    label
        What the value is, for axes and tables.
    absolute
        Whether zero dissimilarity means something, so that an RDM of equal dissimilarities has a value.
    whitened
        Whether the noise that dissimilarities share is divided out: right for squared distances only.
    """

    compare: Callable[..., PerSubject]
    chance: Callable[[Rdm, Rdm], float]
    normalise: Callable[[Rdms], Rdms]
    label: str
    absolute: bool = False
    whitened: bool = False


def pearson(x: Rdm, y: Rdms) -> PerSubject:
    """Pearson correlation over pairs."""
    return _blank_constant(_cosines(x - x.mean(), y - y.mean(axis=1, keepdims=True)), x, y)


def spearman(x: Rdm, y: Rdms) -> PerSubject:
    """Spearman correlation over pairs: Pearson of the ranks, ties sharing their mean rank."""
    return pearson(rankdata(x), rankdata(y, axis=1))


def rho_a(x: Rdm, y: Rdms) -> PerSubject:
    r"""Spearman correlation without correction for ties.

    .. math:: \rho_a = \frac{12}{p^3 - p} \sum_k (R^x_k - \bar R)(R^y_k - \bar R)

    over p pairs: the expectation of Spearman's ρ when ties are broken at random (Schütt et al. 2023, eLife).
    """
    n_pairs = len(x)
    middle = (n_pairs + 1) / 2
    products = (rankdata(y, axis=1) - middle) @ (rankdata(x) - middle)
    return _blank_constant(products * 12 / max(n_pairs**3 - n_pairs, 1), x, y)


def kendall_tau_a(x: Rdm, y: Rdms) -> PerSubject:
    r"""Kendall's τa: concordant less discordant pairs of pairs, over all of them.

    .. math:: \tau_a = \frac{C - D}{p(p-1)/2}

    Right for models that predict ties (Nili et al. 2014). O(p log p).
    """
    n_pairs = len(x)
    total = n_pairs * (n_pairs - 1) // 2
    untied_x = total - _tied(x)
    values = np.full(len(y), np.nan)
    for k, row in enumerate(y):
        untied_y = total - _tied(row)
        if untied_x and untied_y:
            # SciPy gives τb = (C − D) / √(untied_x · untied_y); C − D is a whole number.
            scale = np.sqrt(untied_x) * np.sqrt(untied_y)
            values[k] = np.round(kendalltau(x, row)[0] * scale) / total
    return values


def cosine(x: Rdm, y: Rdms) -> PerSubject:
    """Cosine of the angle between the RDMs, as vectors from zero dissimilarity."""
    return _cosines(x, y)


def cosine_cov(x: Rdm, y: Rdms, covariance: Covariance | None = None) -> PerSubject:
    r"""Whitened cosine: :math:`x^T V^{-1} y / \sqrt{x^T V^{-1} x \; y^T V^{-1} y}`.

    V is the covariance of squared distances of noise (`brainalign.metrics.whitened`), from the covariance of
    the stimuli's mean patterns; without one they are equally noisy and independent, and the value is the linear
    CKA of the representations. O(n³).

    References
    ----------
    Diedrichsen et al. (2021), Neurons Behav Data Anal Theory 5(3), arXiv:2007.02789.
    """
    return _cosines(whiten(x[None], covariance)[0], whiten(y, covariance))


def corr_cov(x: Rdm, y: Rdms, covariance: Covariance | None = None) -> PerSubject:
    """Whitened correlation: `cosine_cov` of RDMs less their mean over pairs."""
    centred = x - x.mean(), y - y.mean(axis=1, keepdims=True)
    return _blank_constant(cosine_cov(*centred, covariance), x, y)


def normalise_to_ranks(rdms: Rdms) -> Rdms:
    """Rank the pairs of each RDM, ties sharing their mean rank."""
    return rankdata(rdms, axis=1)


def normalise_to_z_scores(rdms: Rdms) -> Rdms:
    """Take from each RDM its mean over pairs and divide by its standard deviation; NaN if constant."""
    centred = rdms - rdms.mean(axis=1, keepdims=True)
    deviation = rdms.std(axis=1)
    deviation[_constant(rdms)] = np.nan
    return centred / deviation[:, None]


def normalise_to_unit_length(rdms: Rdms) -> Rdms:
    """Divide each RDM by its root mean square over pairs; NaN if zero throughout."""
    length = np.sqrt(np.mean(rdms**2, axis=1))
    length[length == 0] = np.nan
    return rdms / length[:, None]


def zero_chance(x: Rdm, y: Rdm) -> float:
    """Chance of the comparators that centre: over all orders of the stimuli their mean is exactly zero."""
    return 0.0


def cosine_chance(x: Rdm, y: Rdm) -> float:
    r"""Chance of the cosine: :math:`\sum x \sum y \,/\, (p \lVert x\rVert \lVert y\rVert)` over p pairs.

    A random order of the stimuli carries each pair to every pair equally often, and leaves the lengths as
    they are. As dissimilarities are positive it is far above zero.
    """
    lengths = np.linalg.norm(x) * np.linalg.norm(y)
    return float(x.sum() * y.sum() / (len(x) * lengths)) if lengths > 0 else float("nan")


def cosine_cov_chance(x: Rdm, y: Rdm) -> float:
    r"""Chance of the whitened cosine: :math:`\sum x \sum y \,/\, (2 n p \lVert x\rVert_V \lVert y\rVert_V)`.

    Over n equally noisy stimuli with p pairs; the RDM of ones is an eigenvector of V, of eigenvalue 2 n. Where
    stimuli differ in noise an order of them changes the lengths a little, and the value is approximate.
    """
    n_pairs = len(x)
    white_x, white_y, one = whiten(np.stack([x, y, np.ones(n_pairs)]))
    lengths = np.linalg.norm(white_x) * np.linalg.norm(white_y)
    return float(x.mean() * y.mean() * (one @ one) / lengths) if lengths > 0 else float("nan")


COMPARATORS: dict[str, Comparator] = {
    "spearman": Comparator(spearman, zero_chance, normalise_to_ranks, "Spearman ρ"),
    "pearson": Comparator(pearson, zero_chance, normalise_to_z_scores, "Pearson r"),
    "kendall_tau_a": Comparator(kendall_tau_a, zero_chance, normalise_to_ranks, "Kendall τa"),
    "rho_a": Comparator(rho_a, zero_chance, normalise_to_ranks, "ρa"),
    "cosine": Comparator(cosine, cosine_chance, normalise_to_unit_length, "cosine", absolute=True),
    "cosine_cov": Comparator(
        cosine_cov, cosine_cov_chance, normalise_to_unit_length, "whitened cosine", absolute=True, whitened=True
    ),
    "corr_cov": Comparator(corr_cov, zero_chance, normalise_to_z_scores, "whitened Pearson r", whitened=True),
}
"""Every comparator of RDMs, by name."""

_ALIASES = {"tau_a": "kendall_tau_a"}


def find_comparator(name: str) -> str:
    """Give the catalogue's name of a comparator; ``tau_a`` and hyphens are understood.

    Examples
    --------
    >>> find_comparator("tau-a")
    'kendall_tau_a'
    """
    found = _ALIASES.get(snake_case(name), snake_case(name))
    if found not in COMPARATORS:
        raise unknown_name("comparator", name, [*COMPARATORS, *_ALIASES])
    return found


def _cosines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(x) * np.linalg.norm(y, axis=1)
    values = np.divide(y @ x, lengths, out=np.full(len(y), np.nan), where=lengths != 0)
    return np.clip(values, -1.0, 1.0)


def _constant(rdms: np.ndarray) -> np.ndarray:
    return rdms.max(axis=1) == rdms.min(axis=1)


def _blank_constant(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    # Centring a constant RDM leaves rounding errors, and their correlation would look like a score.
    return np.where(_constant(x[None]) | _constant(y), np.nan, values)


def _tied(values: np.ndarray) -> int:
    _, counts = np.unique(values, return_counts=True)
    return int((counts * (counts - 1) // 2).sum())
