"""Noise ceilings of RSA: how well the best model could do, given how subjects differ."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from brainalign.errors import ResponsesError
from brainalign.metrics.comparators import COMPARATORS, find_comparator

MIN_SUBJECTS = 3
"""With two subjects the lower bound is one correlation, and says nothing of its own spread."""


def noise_ceiling(
    rdms: Float[np.ndarray, "subject pair"],
    comparator: str,
    variances: Float[np.ndarray, "subject stimulus"] | None = None,
) -> tuple[float, float]:
    """Lower and upper bound of the best score that a model can reach against these subjects.

    Upper: each subject against the mean of all, itself included. Lower: each against the mean of the others.
    RDMs are normalised before they are averaged as the comparator demands: to ranks for ``spearman``,
    ``rho_a`` and ``kendall_tau_a``, to z-scores for ``pearson`` and ``corr_cov``, to unit length for ``cosine``
    and ``cosine_cov``. For τa and the whitened comparators that mean is not quite the best possible RDM, so
    their upper bounds are approximate (for the latter by less than 0.001, in human cortex). The conventions
    are those of ``rsatoolbox.inference.boot_noise_ceiling``.

    Parameters
    ----------
    rdms
        Condensed RDMs, one a subject; repeated visits averaged first (`average_visits`).
    comparator
        A name in `COMPARATORS`.
    variances
        For whitened comparators: noise variance of each stimulus's mean pattern in each subject, by which that
        subject's RDM is compared; None where stimuli are equally noisy.

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
    noise = [()] * len(rdms) if variances is None else [(np.diag(own),) for own in variances]
    upper = [how.compare(total / len(rdms), rdms[k : k + 1], *own)[0] for k, own in enumerate(noise)]
    lower = [
        how.compare((total - normalised[k]) / (len(rdms) - 1), rdms[k : k + 1], *own)[0]
        for k, own in enumerate(noise)
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
