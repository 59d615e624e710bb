"""The 95 % interval of a mean over seeds and subjects that are crossed."""

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student

FEWEST = 5
"""Seeds below which there is no interval."""


def crossed_interval(
    values: Float[np.ndarray, "seed subject"], further_variance: float = 0.0
) -> tuple[float, float, float]:
    r"""Give the mean and its 95 % interval, seeds and subjects both being samples of more.

    With mean squares of seeds, subjects and what is left of both,

    .. math:: \mathrm{Var}(\bar x) = (MS_{seed} + MS_{subject} - MS_{rest}) / (S N),

    never less than the larger of the first two alone, with Satterthwaite's degrees of freedom. For one
    subject this is the t-interval over seeds.

    Parameters
    ----------
    values
        One for each seed and subject.
    further_variance
        Variance of the mean that comes on top, such as that of resampled stimuli.

    Returns
    -------
    tuple
        Mean, low and high; these two NaN below five seeds.

    Examples
    --------
    >>> low, high = crossed_interval(np.array([[1.0], [2.0], [3.0], [4.0], [5.0]]))[1:]
    >>> round(low, 3), round(high, 3)
    (1.037, 4.963)
    """
    n_seeds, n_subjects = values.shape
    mean = float(values.mean())
    if n_seeds < FEWEST or not np.isfinite(values).all():
        return mean, np.nan, np.nan
    of_seed, of_subject = values.mean(1) - mean, values.mean(0) - mean
    squares = [n_subjects * float(of_seed @ of_seed) / (n_seeds - 1)]
    degrees = [float(n_seeds - 1)]
    if n_subjects > 1:
        rest = values - mean - of_seed[:, None] - of_subject[None, :]
        squares += [n_seeds * float(of_subject @ of_subject) / (n_subjects - 1)]
        degrees += [float(n_subjects - 1), float((n_seeds - 1) * (n_subjects - 1))]
        squares += [-float((rest**2).sum()) / degrees[-1]]
    total = max(sum(squares), *squares) / values.size
    parts = sum((square / values.size) ** 2 / df for square, df in zip(squares, degrees, strict=True))
    df = total**2 / parts if parts else np.inf
    half = float(student.ppf(0.975, df) * np.sqrt(total + further_variance))
    return mean, mean - half, mean + half
