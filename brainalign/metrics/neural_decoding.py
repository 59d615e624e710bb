"""Which target was reached for, decoded from single trials that the decoder has not seen."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold

from brainalign.errors import ResponsesError
from brainalign.names import snake_case, unknown_name

Array = np.ndarray
Rates = Float[Array, "trial unit"]
Targets = Int[Array, " trial"]

N_FOLDS = 10
"""Parts of the trials that LDA is tested on in turn, all targets in each."""


def nearest_mean(rates: Rates, targets: Targets, rng: np.random.Generator) -> Targets:
    r"""Decide for the target whose mean over the other trials is nearest, leaving out each trial in turn.

    .. math:: \hat g_i = \arg\min_g \lVert x_i - \mu_g^{(-i)} \rVert^2.

    For equally many trials of all targets, this is the Gaussian classifier with one variance for all units.
    Nothing is drawn: `rng` is there as in all decoders.

    Examples
    --------
    >>> rates = np.array([[0.0], [1.0], [9.0], [10.0]])
    >>> nearest_mean(rates, np.array([0, 0, 1, 1]), np.random.default_rng(0))
    array([0, 0, 1, 1])
    """
    member = np.eye(targets.max() + 1)[targets]
    counts = member.sum(axis=0)
    means = (member.T @ rates) / counts[:, None]
    distances = np.sum(rates**2, axis=1)[:, None] - 2 * rates @ means.T + np.sum(means**2, axis=1)
    # Without trial i its own target's mean is n / (n − 1) as far from it.
    own = np.arange(len(rates)), targets
    distances[own] *= (counts[targets] / (counts[targets] - 1)) ** 2
    return np.argmin(distances, axis=1)


def linear_discriminant(rates: Rates, targets: Targets, rng: np.random.Generator) -> Targets:
    """Decide by linear discriminant analysis of the other folds, with Ledoit and Wolf's shrinkage.

    References
    ----------
    Fisher (1936), Ann Eugen 7; Ledoit & Wolf (2004), J Multivar Anal 88.
    """
    n_folds = int(min(N_FOLDS, np.bincount(targets).min()))
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=int(rng.integers(2**31)))
    decided = np.empty_like(targets)
    for train, test in folds.split(rates, targets):
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(rates[train], targets[train])
        decided[test] = model.predict(rates[test])
    return decided


DECODERS: dict[str, Callable[[Rates, Targets, np.random.Generator], Targets]] = {
    "nearest_mean": nearest_mean,
    "lda": linear_discriminant,
}
"""Decoders of targets; each decides every trial from others."""


def target_decoding(
    rates: Array, targets: Array, rng: np.random.Generator, decoder: str = "nearest_mean"
) -> float:
    """Share of the trials whose target is decoded right.

    Chance is the share of the commonest target at best, 1 / number of targets where all are equally common.

    Parameters
    ----------
    rates
        Shape (trial, unit): counts or rates of one window, or their square roots, which even out their
        variance.
    targets
        A label a trial, of any kind.
    rng
        Divides trials into folds, for ``lda``.
    decoder
        ``nearest_mean``, leaving one trial out, or ``lda``, in at most ten folds.

    Raises
    ------
    ResponsesError
        Shapes that do not fit, values that are not finite, a single target, or a target of one trial.
    UnknownNameError
        An unknown decoder.

    References
    ----------
    Yu et al. (2009), J Neurophysiol 102.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> targets = np.repeat(["left", "right"], 20)
    >>> target_decoding(rng.normal(size=(40, 5)) + 5.0 * (targets == "left")[:, None], targets, rng)
    1.0
    """
    decoder = snake_case(decoder)
    if decoder not in DECODERS:
        raise unknown_name("decoder of targets", decoder, DECODERS)
    values, labels = np.asarray(rates, dtype=np.float64), np.asarray(targets)
    if values.ndim != 2 or labels.shape != values.shape[:1] or not np.isfinite(values).all():
        raise ResponsesError(
            f"Target decoding was given rates of shape {values.shape} and targets of shape {labels.shape}; "
            "expected finite values of shape (trial, unit) and one target a trial. Leave out trials or "
            "units with NaN, and sum or average over time first."
        )
    names, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(names) < 2 or counts.min(initial=2) < 2:
        raise ResponsesError(
            f"Target decoding was given {len(names)} targets, of which {names[counts < 2].tolist()[:5]} have "
            "one trial; at least two targets with two trials each are needed, one to fit on and one to "
            "decode. Condition averages cannot be decoded."
        )
    return float(np.mean(DECODERS[decoder](values, classes, rng) == classes))
