"""Variances of models' scores by rsatoolbox's dual bootstrap, over conditions and over subjects' RDMs."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rsatoolbox.inference.evaluate import eval_dual_bootstrap
from rsatoolbox.inference.result import Result
from rsatoolbox.model.model import ModelFixed
from rsatoolbox.rdm.compare import compare
from rsatoolbox.rdm.rdms import RDMs
from scipy.spatial.distance import pdist

from benchmarks.rows import DisagreementError, Row, require_equal, times_faster
from benchmarks.timing import fastest, measured, timed
from brainalign.compare.resampling import Resamples
from brainalign.metrics.weighted import resampled_comparison

N_SAMPLES = 1000

COMPARED = {
    "cosine": ("cosine", 100),
    "corr": ("pearson", 100),
    "spearman": ("spearman", 100),
    "tau-a": ("kendall_tau_a", 20),
    "cosine_cov": ("cosine_cov", 20),
    "corr_cov": ("corr_cov", 20),
}
"""For each of rsatoolbox's names ours, and how many times as fast ours should be."""


@dataclass(frozen=True)
class Problem:
    """Condensed RDMs of models and of subjects, and the sizes of the bootstrap."""

    models: np.ndarray
    subjects: np.ndarray
    n_conditions: int
    n_peer: int

    @classmethod
    def simulated(cls, small: bool) -> "Problem":
        """Distances between patterns that subjects share, and that models share less and less."""
        n, n_subjects, n_models, n_peer = (12, 4, 2, 20) if small else (92, 8, 10, 50)
        generator = np.random.default_rng(0)
        patterns = generator.normal(size=(n, 60))

        def rdms(noise: np.ndarray) -> np.ndarray:
            noisy = [patterns + level * generator.normal(size=patterns.shape) for level in noise]
            return np.stack([pdist(each, "sqeuclidean") / 60 for each in noisy])

        models, subjects = rdms(np.linspace(0.5, 3.0, n_models)), rdms(np.full(n_subjects, 1.5))
        return cls(models, subjects, n, n_peer)


def measure(small: bool) -> list[Row]:
    """Time all samples of ours, and a stated share of rsatoolbox's."""
    problem = Problem.simulated(small)
    return [_row(problem, method, name, target) for method, (name, target) in COMPARED.items()]


@dataclass(frozen=True)
class Bootstrap:
    """Each model's value in each sample of each kind (both, subjects, conditions), and its variance."""

    resamples: Resamples
    replicates: np.ndarray
    variances: np.ndarray


def bootstrap(problem: Problem, comparator: str) -> Bootstrap:
    """Resample each model's mean value over subjects."""
    n_subjects = len(problem.subjects)
    resamples = Resamples.draw(N_SAMPLES, problem.n_conditions, n_subjects, seed=0)
    counts = np.vstack([np.ones((1, problem.n_conditions), dtype=np.int64), resamples.stimuli])
    compared = resampled_comparison(problem.models, problem.subjects, counts, comparator)
    if resamples.subjects is None:
        raise ValueError(f"{n_subjects} subjects are too few to be resampled; give three or more.")
    share = resamples.subjects / n_subjects
    both = np.einsum("mrs,rs->mr", compared[:, 1:], share)
    replicates = np.stack([both, compared[:, 0] @ share.T, compared[:, 1:].mean(axis=2)], axis=1)
    return Bootstrap(resamples, replicates, _variances(resamples, replicates))


def _variances(resamples: Resamples, replicates: np.ndarray) -> np.ndarray:
    return np.array([resamples.variance(of_model)[0] for of_model in replicates])


def alone(start: Callable[[], None], small: bool, comparator: str) -> None:
    """Ours in a process of its own."""
    problem = Problem.simulated(small)
    start()
    bootstrap(problem, comparator)


def _row(problem: Problem, method: str, name: str, target: float) -> Row:
    ours = fastest(3, {"ours": lambda: bootstrap(problem, name)})["ours"]
    models = [ModelFixed(f"model {k}", rdm) for k, rdm in enumerate(problem.models)]
    data = RDMs(problem.subjects)
    peer = timed(lambda: _by_rsatoolbox(problem, models, data, method))
    _require_same_values(problem, models, data, method, name)
    _require_same_variances(peer.result, ours.result, method)
    small = problem.n_conditions < 92
    share = N_SAMPLES / problem.n_peer
    return times_faster(
        f"bootstrap_{method.replace('-', '_')}",
        f"dual bootstrap, {problem.n_conditions} conditions × {len(problem.subjects)} RDMs × {len(models)} "
        f"models, N = {N_SAMPLES}, {method}: against rsatoolbox eval_dual_bootstrap, noise ceilings included "
        f"(N = {problem.n_peer}, × {share:g})",
        ours.seconds,
        peer.seconds * share,
        target,
        measured(alone, small, name).peak_mb,
    )


def _by_rsatoolbox(problem: Problem, models: list[ModelFixed], data: RDMs, method: str) -> Result:
    np.random.seed(0)  # noqa: NPY002 — rsatoolbox draws from numpy's global generator
    options = {"k_pattern": 1, "k_rdm": 1, "N": problem.n_peer, "use_correction": False}
    with warnings.catch_warnings():
        # It warns of its noise ceiling for tau-a, which is not used here.
        warnings.simplefilter("ignore")
        return eval_dual_bootstrap(models, data, method=method, **options)


def _require_same_values(
    problem: Problem, models: list[ModelFixed], data: RDMs, method: str, name: str
) -> None:
    """Compare models with subjects in three bootstrap samples of the conditions, by weights and by copies."""
    n = problem.n_conditions
    generator = np.random.default_rng(1)
    for _ in range(3):
        drawn = np.sort(generator.integers(0, n, n))
        counts = np.bincount(drawn, minlength=n)[None]
        ours = resampled_comparison(problem.models, problem.subjects, counts, name)[:, 0]
        sample = data.subsample_pattern("index", drawn)
        for k, model in enumerate(models):
            theirs = compare(model.predict_rdm().subsample_pattern("index", drawn), sample, method)[0]
            require_equal(f"bootstrap, {method}, one sample", ours[k], theirs, 1e-6)


def _require_same_variances(peer: Result, ours: Bootstrap, method: str) -> None:
    """Hold variances to the peer's: the formula exactly, the values to sampling error.

    Sampling error is how the logarithm of a variance scatters when 1000 times over as few samples as the
    peer's are drawn from ours; the peer's may lie five standard deviations away.
    """
    theirs = np.asarray(peer.get_model_var(), dtype=np.float64)
    kinds = peer.evaluations[:, :, 0, 0].transpose(1, 2, 0)
    by_formula = _variances(ours.resamples, kinds)
    require_equal(f"bootstrap, {method}, formula of the variance", by_formula / theirs, 1.0, 1e-9)
    generator = np.random.default_rng(2)
    drawn = generator.integers(0, N_SAMPLES, (1000, kinds.shape[2]))
    few = np.log([_variances(ours.resamples, ours.replicates[..., rows]) for rows in drawn])
    distance = np.abs(np.log(theirs) - few.mean(axis=0)) / few.std(axis=0)
    if not distance.max() <= 5:
        raise DisagreementError(
            f"bootstrap, {method}: a variance lies {distance.max():.1f} standard deviations from rsatoolbox's."
        )
