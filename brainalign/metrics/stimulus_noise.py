r"""How noisy each stimulus's mean pattern is, estimated from its repeats and shrunk."""

import numpy as np
from jaxtyping import Float

from brainalign.metrics.noise_precision import n_repeats, residuals


def stimulus_variances(
    repeats: Float[np.ndarray, "stimulus unit repeat"],
    covariance: Float[np.ndarray, "unit unit"],
    metric: Float[np.ndarray, "unit unit"],
) -> Float[np.ndarray, " stimulus"]:
    r"""Noise variance a unit of each stimulus's mean pattern: the diagonal of the condition covariance.

    .. math:: \hat\sigma_i = \frac{1}{n_i} \Big[\bar v + \frac{\tau^2}{\tau^2 + c / f_i} (v_i - \bar v)\Big],
        \quad v_i = \frac{1}{p f_i} \sum_r \epsilon_{ir}^T P\, \epsilon_{ir}, \quad f_i = n_i - 1,
        \quad c = 2 \bar v^2 / p_\mathrm{eff}

    The variance :math:`v_i` of single presentations is drawn towards the mean :math:`\bar v` over stimuli (each
    counting :math:`f_i`) by its share of sampling error, as empirical Bayes estimates are; :math:`\tau^2` is
    what differences between the :math:`v_i` leave beyond that error (DerSimonian & Laird's moments), and
    :math:`p_\mathrm{eff}` the effective number of independent units. A stimulus shown once has the mean
    variance. Between stimuli the covariance is zero: their presentations are different trials.

    Parameters
    ----------
    repeats
        Responses; NaN where a repeat is missing. Where units miss different ones, n is the mean over units.
    covariance
        The units' noise covariance (`noise_covariance`).
    metric
        P, what the RDM multiplies patterns by: the noise's precision, or the identity.

    References
    ----------
    Diedrichsen et al. (2021), arXiv:2007.02789; DerSimonian & Laird (1986), Control Clin Trials 7:177; Morris
    (1983), JASA 78:47.
    """
    n_units = repeats.shape[1]
    counts = n_repeats(repeats)
    shown, freedom = counts.mean(axis=1), np.maximum(counts - 1, 0).mean(axis=1)
    deviations = residuals(repeats)
    energy = np.einsum("iur,uv,ivr->i", deviations, metric, deviations, optimize=True) / n_units
    mean = energy.sum() / freedom.sum()
    relative = metric @ covariance
    effective = np.trace(relative) ** 2 / np.sum(relative * relative.T)
    sampling = 2 * mean**2 / effective
    varied = freedom > 0
    excess = energy[varied] / freedom[varied] - mean
    beyond = np.sum(freedom[varied] * excess**2) - (varied.sum() - 1) * sampling
    # With a single repeated stimulus there is nothing to tell stimuli apart by.
    spread = freedom.sum() - np.sum(freedom**2) / freedom.sum()
    between = max(beyond / spread, 0.0) if spread > 0 else 0.0
    kept = np.zeros(len(repeats))
    kept[varied] = between / (between + sampling / freedom[varied]) * excess
    return (mean + kept) / shown
