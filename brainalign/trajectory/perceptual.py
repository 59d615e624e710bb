"""Perceptual learning of orientation: what layers can tell apart, and to what learning transfers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from brainalign.errors import BrainalignError
from brainalign.tasks import ImageSet, find_task
from brainalign.tasks.orientation import Orientation
from brainalign.training import Checkpoint, Run
from brainalign.training.measure import measure
from brainalign.trajectory.layer_answers import layer_answers

TOLERANCE = 1e-10
"""Share of the largest variance below which a direction counts as constant."""


def trained_on(run: Run, images: ImageSet | None = None) -> Orientation:
    """Give the orientation task that a run has learned.

    Parameters
    ----------
    run
        The run.
    images
        The task's image set, where it is loaded already.

    Raises
    ------
    BrainalignError
        A run of another task.
    """
    name = run.settings.task
    given = {} if images is None else {"images": images}
    task = find_task(name, **given) if name.partition(":")[0] == Orientation.key else None
    if not isinstance(task, Orientation):
        raise BrainalignError(f"{run.path} has learned {name!r}; expected a run of {Orientation.key}.")
    return task


def linear_fisher_information(
    first: Float64[np.ndarray, "first_trial unit"],
    second: Float64[np.ndarray, "second_trial unit"],
    apart: float,
) -> float:
    r"""Give the information on orientation that a linear read-out of noisy answers can have.

    .. math::
        I = \frac{1}{\Delta^2} \Bigl( d^\top S^{-1} d\, \frac{2T - N - 3}{2T - 2} - \frac{2N}{T} \Bigr)

    with d the difference of the means, S the mean of the two covariances, T trials of each orientation and N
    units: without bias for Gaussian noise, and so below 0 at times where there is little information. In
    directions in which answers never vary nothing is counted; N is the number of the others.

    Parameters
    ----------
    first, second
        Answers to the two orientations, as many trials of each.
    apart
        Δ, degrees between them.

    Raises
    ------
    BrainalignError
        Numbers of trials that differ, or too few of them for so many units.

    Notes
    -----
    Kanitscheider et al. 2015 (PLoS Comput Biol 11:e1004218), eq. 3 with the correction of its bias.

    Examples
    --------
    >>> linear_fisher_information(np.array([[-1.0], [0.0], [1.0]]), np.array([[5.0], [6.0], [7.0]]), 2.0)
    4.333333333333333
    """
    if first.shape != second.shape:
        raise BrainalignError(f"Answers of shapes {first.shape} and {second.shape}; expected the same shape.")
    trials = len(first)
    difference = second.mean(0) - first.mean(0)
    covariance = (np.cov(first.T) + np.cov(second.T)) / 2
    variances, directions = np.linalg.eigh(np.atleast_2d(covariance))
    varies = variances > TOLERANCE * variances[-1]
    n = int(varies.sum())
    if 2 * trials - n - 3 < 1:
        raise BrainalignError(f"{trials} trials are too few for {n} units; give {n // 2 + 3} or more.")
    squared = ((difference @ directions[:, varies]) ** 2 / variances[varies]).sum()
    corrected = squared * (2 * trials - n - 3) / (2 * trials - 2) - 2 * n / trials
    return float(corrected / apart**2)


def discriminability(
    network: nn.Module,
    task: Orientation,
    layers: str | Sequence[str] | None = None,
    *,
    trials: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure how well a linear read-out of each layer could tell the task's two sides apart.

    Of a feature map each channel's mean over places is read, so that there are more trials than units.

    Parameters
    ----------
    network
        A network that takes the task's images.
    task
        Says what is shown.
    layers
        Globs over names; the network's blocks by default.
    trials
        Gabors of each side.
    seed
        Of phases and noise, others for each side.

    Returns
    -------
    pd.DataFrame
        ``layer, n_units``; ``fisher_information``, a squared degree (`linear_fisher_information`); ``d_prime``,
        √information times the degrees between the sides, with the information's sign.
    """
    generator = torch.Generator().manual_seed(seed)
    sides = []
    for turn in (-task.precision, task.precision):
        wanted = torch.full((trials,), task.orientation + turn, dtype=torch.float64)
        shown = task.preprocessing.standardised(task.pixels(wanted, generator))
        answers = layer_answers(network, shown, layers)
        sides.append({name: channel_means(each).double().cpu().numpy() for name, each in answers.items()})
    apart = 2 * task.precision
    information = {name: linear_fisher_information(sides[0][name], sides[1][name], apart) for name in sides[0]}
    rows = [
        {
            "layer": name,
            "n_units": sides[0][name].shape[1],
            "fisher_information": each,
            "d_prime": float(np.sign(each) * np.sqrt(abs(each)) * apart),
        }
        for name, each in information.items()
    ]
    return pd.DataFrame(rows)


def channel_means(answer: Float[Tensor, "sample ..."]) -> Float[Tensor, "sample unit"]:
    """Give each channel's mean over places; all units of a layer without places.

    Examples
    --------
    >>> channel_means(torch.arange(4.0).view(1, 1, 2, 2))
    tensor([[1.5000]])
    """
    return answer.flatten(2).mean(2) if answer.ndim > 2 else answer


def transfer(
    checkpoint: Checkpoint, tests: Sequence[Orientation], images: ImageSet | None = None, limit: int = 1000
) -> pd.DataFrame:
    """Test a network on tasks other than the one it has learned, with its own read-out.

    At another orientation than the trained one this read-out answers about the wrong reference; what layers
    have learned there, `discriminability` measures.

    Parameters
    ----------
    checkpoint
        Of a run of an orientation task.
    tests
        What it is tested on, the trained task among them, or not.
    images
        The trained task's image set, where it is loaded already.
    limit
        Gabors held out, at most.

    Returns
    -------
    pd.DataFrame
        A row a test: ``network, rule, seed, step, train_orientation, train_precision, test`` (its name),
        ``test_orientation, test_precision``; ``accuracy`` as trained.

    Raises
    ------
    BrainalignError
        A run of another task.
    """
    trained, network = trained_on(checkpoint.run, images), checkpoint.load()
    facts = {name: getattr(checkpoint, name) for name in ("network", "rule", "seed", "step")}
    facts |= {"train_orientation": trained.orientation, "train_precision": trained.precision}
    return pd.DataFrame(
        [
            facts
            | {"test": test.name, "test_orientation": test.orientation, "test_precision": test.precision}
            | {"accuracy": measure(network, test, test.held_out(limit))["accuracy"]}
            for test in tests
        ]
    )
