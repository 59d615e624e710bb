"""Does a layer reach the noise ceiling? A test against its lower bound."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from brainalign.compare.differences import holm
from brainalign.compare.problems import make_problems
from brainalign.compare.rdm_comparison import RdmComparison
from brainalign.compare.resampling import interval, p_value
from brainalign.compare.rows import _outcomes
from brainalign.data import Recording, load_recording
from brainalign.errors import NeedsError
from brainalign.metrics import find_metric
from brainalign.metrics.comparators import COMPARATORS
from brainalign.metrics.rsa import RdmKernel
from brainalign.probing import Representation

Array = np.ndarray


def ceiling_test(
    recording: str | Recording,
    region: str,
    metric: str,
    layers: Sequence[Representation],
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Test whether each layer is as like the subjects as these are to each other: the lower noise ceiling.

    The lower ceiling is the mean over subjects of how alike each is to the mean of the others. It is resampled
    together with the layer, over the same stimuli and subjects, so what the two share cancels: a sample draws
    subjects with all that is said of them, by the layer and by the others, and the means of the others
    stay. (Were these taken anew of the subjects drawn, of whom a third is missing, the ceiling would fall and
    vary far more from sample to sample than from experiment to experiment.) The t-test has the variance
    of the difference by the dual bootstrap and its degrees of freedom. A layer whose p is large cannot be
    told from a model as good as subjects are of each other; that is no proof that it is one.

    Returns
    -------
    pandas.DataFrame
        For each layer ``layer``, ``raw``, ``ceiling_lower``, ``difference`` (raw less the ceiling), its 95 %
        interval ``low`` and ``high``, the two-sided ``p``, and ``p_holm``, corrected for the number of layers.

    Raises
    ------
    NeedsError
        A metric that compares no RDMs of subjects, or fewer than three subjects: there is no lower ceiling.

    References
    ----------
    Nili et al. (2014), PLoS Comput Biol 10:e1003553; as ``rsatoolbox.util.inference_util.t_test_nc``.
    """
    shown = load_recording(recording) if isinstance(recording, str) else recording
    problem = make_problems(shown.only(region), [find_metric(metric)], n_resamples, seed)[0]
    comparison = problem.comparison
    if comparison is None:
        raise NeedsError(f"{problem.unmet}.")
    joint, resamples = problem.metric.joint, comparison.resamples
    if not isinstance(comparison, RdmComparison) or joint or resamples.subjects is None:
        raise NeedsError(
            f"Region {region!r} of {shown.name!r} has no lower noise ceiling under {metric}: that takes rsa "
            "and three subjects or more. Test against chance instead (permutation_test)."
        )
    ceiling, replicates = resampled_lower_ceiling(
        comparison._kernel, comparison._rdms, resamples.stimuli, resamples.subjects, comparison._variances
    )
    rows = []
    aligned = [layer.select(comparison.facts.stimuli) for layer in layers]
    for layer, outcome in zip(layers, _outcomes(comparison, aligned, joint), strict=True):
        difference = outcome.raw - ceiling
        variance, dof = resamples.variance(outcome.replicates - replicates)
        p = p_value(difference, variance, dof)
        rows.append((layer.layer, outcome.raw, ceiling, difference, *interval(difference, variance, dof), p))
    columns = ["layer", "raw", "ceiling_lower", "difference", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_holm=holm(table["p"].to_numpy(dtype=float)))


def resampled_lower_ceiling(
    kernel: RdmKernel,
    rdms: Float[Array, "subject pair"],
    stimuli: Int[Array, "resample stimulus"],
    subjects: Int[Array, "resample subject"],
    variances: Float[Array, "subject stimulus"] | None = None,
) -> tuple[float, Float[Array, "3 resample"]]:
    """Give the lower noise ceiling, and its value in bootstrap samples of both, of subjects, of stimuli.

    Parameters
    ----------
    kernel
        Compares RDMs.
    rdms
        Condensed RDMs, one a subject; normalised on all stimuli before they are averaged.
    stimuli, subjects
        How often each was drawn in each sample.
    variances
        Noise variances of the stimuli in each subject, for whitened comparators.
    """
    normalised = COMPARATORS[kernel.comparator].normalise(rdms)
    others = (normalised.sum(axis=0) - normalised) / (len(rdms) - 1)
    counts = np.vstack([np.ones(stimuli.shape[1], dtype=stimuli.dtype), stimuli])
    compared = np.einsum("srs->rs", kernel.resampled(others, rdms, counts, variances))
    share = subjects / len(rdms)
    by_both = np.einsum("rs,rs->r", compared[1:], share)
    return float(compared[0].mean()), np.stack([by_both, share @ compared[0], compared[1:].mean(axis=1)])
