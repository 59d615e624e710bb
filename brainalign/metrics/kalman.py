r"""Kalman filter: kinematics decoded from spike counts by how they move and how units are tuned to them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainalign.errors import ResponsesError
from brainalign.metrics.velocity_decoding import Counts, Velocities, check_lengths

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class KalmanFilter:
    r"""Linear dynamics of the kinematics and linear tuning of the counts, both with Gaussian noise.

    .. math:: x_{t+1} = A x_t + w_t, \quad w \sim N(0, W), \qquad y_t = H x_t + q_t, \quad q \sim N(0, Q),

    for kinematics x and counts y less their training means; A, W, H, Q by least squares on training data.

    Parameters
    ----------
    dynamics, dynamics_noise
        A and W.
    tuning, tuning_noise
        H and Q.
    means
        Of the counts and of the kinematics.
    start
        Covariance of the kinematics, from which the filter starts at their mean.

    References
    ----------
    Wu et al. (2006), Neural Comput 18, eq. 2.1–2.6.
    """

    dynamics: Float[Array, "k k"]
    dynamics_noise: Float[Array, "k k"]
    tuning: Float[Array, "unit k"]
    tuning_noise: Float[Array, "unit unit"]
    means: tuple[Float[Array, " unit"], Float[Array, " k"]]
    start: Float[Array, "k k"]

    @classmethod
    def fit(cls, counts: Counts, kinematics: Velocities) -> "KalmanFilter":
        """Fit on stretches (time, unit) and (time, kinematic) of even bins.

        Raises
        ------
        ResponsesError
            Fewer bins than units, so that Q would be singular, or units that do not vary.
        """
        y, x = np.concatenate(counts), np.concatenate(kinematics)
        constant = np.flatnonzero(np.ptp(y, axis=0) == 0)
        if len(constant) or len(y) <= y.shape[1] + x.shape[1]:
            raise ResponsesError(
                f"A Kalman filter was asked for from {len(y)} bins of {y.shape[1]} units, {len(constant)} of "
                f"which do not vary (such as {constant[:5].tolist()}); it needs more bins than units, and "
                "units that vary. Leave the constant ones out."
            )
        means = y.mean(axis=0), x.mean(axis=0)
        y, x = y - means[0], x - means[1]
        steps = [each - means[1] for each in kinematics]
        before, after = (np.concatenate([each[part] for each in steps]) for part in (slice(-1), slice(1, None)))
        (dynamics, noise), (tuning, tuning_noise) = _least_squares(before, after), _least_squares(x, y)
        return cls(dynamics, noise, tuning, tuning_noise, means, x.T @ x / len(x))

    def decode(self, counts: Float[Array, "time unit"]) -> Float[Array, "time k"]:
        r"""Filter one stretch: each time from the counts up to it.

        .. math:: P^{-1} = (A P_- A^T + W)^{-1} + H^T Q^{-1} H, \qquad
            \hat x = A\hat x_- + P H^T Q^{-1} (y - H A \hat x_-).
        """
        read = np.linalg.solve(self.tuning_noise, self.tuning).T
        information = read @ self.tuning
        state, spread = np.zeros(len(self.start)), self.start
        states = []
        for time, change in enumerate((counts - self.means[0]) @ read.T):
            if time:
                state = self.dynamics @ state
                spread = self.dynamics @ spread @ self.dynamics.T + self.dynamics_noise
            gain = np.linalg.solve(np.eye(len(state)) + spread @ information, spread)
            state = state + gain @ (change - information @ state)
            spread = gain
            states.append(state)
        return np.array(states) + self.means[1]


@dataclass(frozen=True)
class KalmanDecoder:
    """A Kalman filter of the velocities, on counts some bins earlier.

    Parameters
    ----------
    lag
        Bins by which the counts are ahead of the velocity.
    """

    lag: int = 0

    def decode(
        self, counts: Counts, velocities: Velocities, tests: Counts, rng: np.random.Generator
    ) -> list[Array]:
        """Fit and predict; the first `lag` times of each stretch have no prediction. Nothing is drawn."""
        check_lengths([*counts, *tests], self.lag + 2)
        ahead = [each[: len(each) - self.lag] for each in counts]
        fitted = KalmanFilter.fit(ahead, [each[self.lag :] for each in velocities])
        return [fitted.decode(each[: len(each) - self.lag]) for each in tests]


def _least_squares(x: Float[Array, "row p"], y: Float[Array, "row q"]) -> tuple[Array, Array]:
    """Give B of y ≈ B x, and the covariance of what it misses."""
    weights = np.linalg.lstsq(x, y, rcond=None)[0]
    missed = y - x @ weights
    return weights.T, missed.T @ missed / len(x)
