r"""Do preparation and movement share their dimensions? The alignment of two subspaces of a population."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from brainalign.errors import ResponsesError
from brainalign.metrics.metric import Metric
from brainalign.metrics.trajectories import (
    Preprocessing,
    Times,
    Trajectories,
    check_trajectories,
    in_window,
    read_window,
)

Array = np.ndarray
Covariance = Float[Array, "unit unit"]

BATCH_NUMBERS = 2_000_000
"""Numbers that random subspaces drawn at once hold."""


def alignment_index(basis: Float[Array, "*batch unit axis"], covariance: Covariance) -> Float[Array, "*batch"]:
    r"""Variance that a subspace captures, as a share of what one of its dimension can capture at most.

    .. math:: A = \frac{\mathrm{Tr}(D^T C D)}{\sum_{i=1}^k \sigma_i(C)},

    with orthonormal D (unit × k) and the k largest eigenvalues of C. From 0, orthogonal, to 1;
    NaN where C is 0.

    References
    ----------
    Elsayed, Lara, Kaufman, Churchland & Cunningham (2016), Nature Communications 7, 13239, eq. 5.

    Examples
    --------
    >>> round(float(alignment_index(np.eye(3)[:, :1], np.diag([1.0, 4.0, 0.0]))), 12)
    0.25
    """
    most = np.linalg.eigvalsh(covariance)[-basis.shape[-1] :].sum()
    captured = (basis * (covariance @ basis)).sum(axis=(-2, -1))
    return np.asarray(captured / most if most > 0 else np.full(captured.shape, np.nan))


def random_subspaces(
    covariance: Covariance, n_components: int, n: int, rng: np.random.Generator
) -> Float[Array, "n unit axis"]:
    r"""Draw subspaces by the data's covariance: the column space of :math:`U\sqrt{S}\,v`, v standard normal.

    C = U S Uᵀ, so that directions in which the data vary are as likely as they vary.
    """
    variances, axes = np.linalg.eigh(covariance)
    spread = axes * np.sqrt(np.clip(variances, 0, None))
    drawn = spread @ rng.standard_normal((n, len(covariance), n_components))
    return np.linalg.qr(drawn)[0]


@dataclass(frozen=True)
class SubspaceKernel:
    """Alignment of a preparatory subspace with movement, with windows and preprocessing chosen.

    Parameters
    ----------
    n_components
        Dimensions of the subspace.
    prepare, move
        Windows ``FROM:TO`` in seconds.
    preprocessing
        Of all times together; its own window, if it has one, is cut out first.
    """

    n_components: int = 10
    prepare: str = "-0.3:0"
    move: str = "0:0.3"
    preprocessing: Preprocessing = field(default_factory=Preprocessing)

    def __post_init__(self) -> None:
        for window in (self.prepare, self.move):
            read_window(window)

    def value(self, trajectories: Trajectories, times: Times, rng: np.random.Generator | None = None) -> float:
        """Share of movement's variance that the preparatory subspace captures, of what it could at most.

        Raises
        ------
        ResponsesError
            Trajectories or windows that cannot be used, or fewer dimensions than components.
        """
        preparation, movement = self._covariances(trajectories, times)
        basis = np.linalg.eigh(preparation)[1][:, -self.n_components :]
        return float(alignment_index(basis, movement))

    def null(
        self, trajectories: Trajectories, times: Times, n: int, rng: np.random.Generator
    ) -> Float[Array, " n"]:
        """Give the values of n random subspaces drawn by the covariance of both windows together.

        Preparation and movement are apart where the value lies *below* these. As in the source, movement's own
        covariance takes part in the draw, so that with few dimensions even two unrelated subspaces lie low.
        """
        preparation, movement = self._covariances(trajectories, times)
        size = max(1, BATCH_NUMBERS // (len(movement) * self.n_components))
        values = [
            alignment_index(
                random_subspaces(preparation + movement, self.n_components, min(size, n - start), rng),
                movement,
            )
            for start in range(0, n, size)
        ]
        return np.concatenate(values) if values else np.empty(0)

    def _covariances(self, trajectories: Trajectories, times: Times) -> tuple[Covariance, Covariance]:
        trajectories = check_trajectories("The alignment of subspaces", trajectories, times)
        prepared = self.preprocessing(trajectories, times)
        kept = times[in_window(times, self.preprocessing.window)]
        found = []
        for window in (self.prepare, self.move):
            states = prepared[:, in_window(kept, window)].reshape(-1, prepared.shape[-1])
            if self.n_components > min(states.shape[1], len(states) - 1):
                raise ResponsesError(
                    f"A subspace of {self.n_components} dimensions was asked for of {len(states)} states × "
                    f"{states.shape[1]} units in the window {window}; lower n_components."
                )
            states = states - states.mean(axis=0)
            found.append(states.T @ states / len(states))
        return found[0], found[1]


def subspace_alignment(
    n_components: int = 10,
    prepare: str = "-0.3:0",
    move: str = "0:0.3",
    subtract_mean: bool = True,
    normalise: str = "soft",
) -> Metric:
    """Alignment index of a population's preparatory subspace with its activity in movement.

    Both windows are on the recording's one time axis.

    Parameters
    ----------
    n_components
        Dimensions of the preparatory subspace.
    prepare, move
        Windows ``FROM:TO`` in seconds.
    subtract_mean
        Whether to subtract the mean over conditions at each time.
    normalise
        ``soft``, ``sd`` or ``none``.

    Raises
    ------
    UnknownNameError
        An option's value that does not exist.
    """
    preprocessing = Preprocessing(normalise, subtract_mean=subtract_mean)
    kernel = SubspaceKernel(n_components, prepare, move, preprocessing)
    return Metric(
        name="subspace_alignment",
        family="dynamics",
        kernel=kernel,
        needs=frozenset({"responses", "time"}),
        range=(0.0, 1.0),
        symmetric=False,
        invariances=kernel.preprocessing.invariances,
        chance=float("nan"),
        label=f"alignment index of preparation with movement, {n_components} dimensions",
        citation="Elsayed et al. 2016",
        options={
            "n_components": n_components,
            "prepare": prepare,
            "move": move,
            "subtract_mean": subtract_mean,
            "normalise": normalise,
        },
    )
