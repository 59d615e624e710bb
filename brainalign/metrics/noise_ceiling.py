"""Noise ceilings of RSA: how well the best model could do, given how subjects differ."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from brainalign.errors import ResponsesError
from brainalign.metrics.comparators import COMPARATORS, find_comparator

MIN_SUBJECTS = 3
"""With two subjects the lower bound is one correlation, and says nothing of its own spread."""


def noise_ceiling(rdms: Float[np.ndarray, "subject pair"], comparator: str) -> tuple[float, float]:
    """Lower and upper bound of the best score that a model can reach against these subjects.

    Upper: each subject against the mean of all, itself included. Lower: each against the mean of the others.
    RDMs are normalised before they are averaged as the comparator demands: to ranks for ``spearman``,
    ``rho_a`` and ``kendall_tau_a``, to z-scores for ``pearson``, to unit length for ``cosine``; for τa the
    mean rank is not the best possible RDM, so its upper bound is approximate. These are the conventions of
    ``rsatoolbox.inference.boot_noise_ceiling``.

    Parameters
    ----------
    rdms
        Condensed RDMs, one a subject; repeated visits averaged first (`average_visits`).
    comparator
        A name in `COMPARATORS`.

    Returns
    -------
    :
        ``(lower, upper)``, on the scale of the comparator. NaN if a subject's RDM is constant.

    Raises
    ------
    ResponsesError
        Fewer than three subjects, or dissimilarities that are not finite.

    References
    ----------
    Nili et al. (2014), PLoS Comput Biol 10:e1003553.
    """
    if len(rdms) < MIN_SUBJECTS:
        raise ResponsesError(
            f"A noise ceiling needs the RDMs of {MIN_SUBJECTS} subjects or more; {len(rdms)} given. "
            "With fewer, report raw scores without a ceiling."
        )
    if not np.isfinite(rdms).all():
        raise ResponsesError("The subjects' RDMs hold NaN or infinite values; leave out the stimuli concerned.")
    how = COMPARATORS[find_comparator(comparator)]
    normalised = how.normalise(rdms)
    total = normalised.sum(axis=0)
    upper = how.compare(total / len(rdms), rdms)
    lower = [
        how.compare((total - own) / (len(rdms) - 1), rdms[k : k + 1])[0] for k, own in enumerate(normalised)
    ]
    return float(np.mean(lower)), float(np.mean(upper))


def average_visits(
    rdms: Float[np.ndarray, "visit pair"], subjects: Sequence[str]
) -> tuple[Float[np.ndarray, "subject pair"], list[str]]:
    """Average the RDMs of each subject's visits, so that one subject counts once.

    Parameters
    ----------
    rdms
        Condensed RDMs, one a visit.
    subjects
        Subject of each visit.

    Returns
    -------
    :
        One RDM a subject, and the subjects' names in the order of their first visit.

    Examples
    --------
    >>> average_visits(np.array([[1.0], [5.0], [3.0]]), ["a", "b", "a"])
    (array([[2.],
           [5.]]), ['a', 'b'])
    """
    if len(subjects) != len(rdms):
        raise ResponsesError(f"{len(subjects)} subjects were named for {len(rdms)} RDMs; name one for each.")
    names = list(dict.fromkeys(subjects))
    visits = [[k for k, subject in enumerate(subjects) if subject == name] for name in names]
    return np.stack([rdms[rows].mean(axis=0) for rows in visits]), names
