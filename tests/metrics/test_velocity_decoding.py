"""Velocity by ridge and by a Kalman filter: naive forms, planted tuning, shuffled blocks, and a recording."""

import numpy as np
import pytest
import scipy.io
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from brainalign.errors import ResponsesError
from brainalign.metrics.kalman import KalmanDecoder, KalmanFilter
from brainalign.metrics.velocity_decoding import RidgeDecoder, velocity_decoding

HENNIG = (
    "raw.githubusercontent.com/mobeets/neural-redundancy-elife2018/e130df7f0f9ce632b712036ebf9f9d7ef2b259a6/"
    "data/sessions/20131218.mat"
)


def recording(
    seed: int = 0, n: int = 12, n_times: int = 150, lag: int = 0, decay: float = 0.95
) -> tuple[list, list]:
    """Velocities that drift and decay, and noisy counts that are linear in them, `lag` bins earlier."""
    rng = np.random.default_rng(seed)
    dynamics, tuning = decay * np.array([[0.98, -0.2], [0.2, 0.98]]), rng.normal(size=(15, 2))
    counts, velocities = [], []
    for _ in range(n):
        states = [rng.normal(size=2)]
        for _ in range(n_times + lag - 1):
            states.append(dynamics @ states[-1] + 0.3 * rng.normal(size=2))
        states = np.array(states)
        counts.append(5 + states[lag:] @ tuning.T + 2 * rng.normal(size=(n_times, 15)))
        velocities.append(3 + states[:n_times])
    return counts, velocities


def naive_filter(fitted: KalmanFilter, counts: np.ndarray) -> np.ndarray:
    """Filter by the textbook's gain, with a matrix of units × units to invert at each time."""
    state, spread = np.zeros(2), fitted.start
    states = []
    for time, count in enumerate(counts - fitted.means[0]):
        if time:
            state = fitted.dynamics @ state
            spread = fitted.dynamics @ spread @ fitted.dynamics.T + fitted.dynamics_noise
        gain = (
            spread
            @ fitted.tuning.T
            @ np.linalg.inv(fitted.tuning @ spread @ fitted.tuning.T + fitted.tuning_noise)
        )
        state = state + gain @ (count - fitted.tuning @ state)
        spread = (np.eye(2) - gain @ fitted.tuning) @ spread
        states.append(state)
    return np.array(states) + fitted.means[1]


def test_filter_is_the_textbooks():
    counts, velocities = recording()
    fitted = KalmanFilter.fit(counts[:8], velocities[:8])
    np.testing.assert_allclose(fitted.decode(counts[9]), naive_filter(fitted, counts[9]), atol=1e-9)


def test_fit_recovers_dynamics_and_tuning():
    counts, velocities = recording(n=60, n_times=300)
    fitted = KalmanFilter.fit(counts, velocities)
    truth = 0.95 * np.array([[0.98, -0.2], [0.2, 0.98]])
    np.testing.assert_allclose(fitted.dynamics, truth, atol=0.03)
    np.testing.assert_allclose(fitted.dynamics_noise, 0.09 * np.eye(2), atol=0.01)
    np.testing.assert_allclose(np.diagonal(fitted.tuning_noise), 4, rtol=0.1)


def test_filter_smooths_what_one_bin_cannot_say():
    counts, velocities = recording()
    rng = np.random.default_rng(0)
    one_bin = velocity_decoding(RidgeDecoder(1), counts, velocities, rng)
    assert velocity_decoding(KalmanDecoder(), counts, velocities, rng) > one_bin + 0.03
    assert velocity_decoding(RidgeDecoder(6), counts, velocities, rng) > one_bin + 0.03


def test_lag_of_the_counts_is_bridged():
    # The counts of a bin are of the velocity three bins later.
    counts, velocities = recording(lag=3, decay=0.7)
    rng = np.random.default_rng(1)
    assert velocity_decoding(KalmanDecoder(3), counts, velocities, rng) > 0.1 + velocity_decoding(
        KalmanDecoder(), counts, velocities, rng
    )


def test_ridge_is_scikit_learns_at_the_penalty_that_folds_choose():
    counts, velocities = recording(n=5)
    decoder = RidgeDecoder(n_bins=2, n_alphas=1)
    x = [np.hstack([each[1:], each[:-1]]) for each in counts]
    train, target = np.concatenate(x[:4]), np.concatenate([each[1:] for each in velocities[:4]])
    alpha = 1e-5 * np.sum(train.var(axis=0))
    theirs = Ridge(alpha=alpha).fit(train, target).predict(x[4])
    (found,) = decoder.decode(counts[:4], velocities[:4], counts[4:], np.random.default_rng(0))
    np.testing.assert_allclose(found, theirs, atol=1e-8)


def test_value_is_the_mean_r2_of_held_out_stretches():
    counts, velocities = recording(n=3)
    found = velocity_decoding(KalmanDecoder(), counts, velocities, np.random.default_rng(0))
    naive = []
    for test in range(3):
        train = [i for i in range(3) if i != test]
        fitted = KalmanFilter.fit([counts[i] for i in train], [velocities[i] for i in train])
        naive.append(r2_score(velocities[test], fitted.decode(counts[test])))
    assert found == pytest.approx(np.mean(naive), abs=1e-10)


@pytest.mark.parametrize("decoder", [RidgeDecoder(3), KalmanDecoder()])
def test_counts_of_other_stretches_say_nothing(decoder):
    counts, velocities = recording(n=20)
    rng = np.random.default_rng(2)
    assert velocity_decoding(decoder, counts, velocities, rng) > 0.7
    assert velocity_decoding(decoder, counts[1:] + counts[:1], velocities, rng) < 0.05


@pytest.mark.data
def test_cursor_of_hennig_2018(mirror):
    # The cursor was moved by these spikes: the velocity of the next bin follows from them almost linearly.
    stored = scipy.io.loadmat(mirror / HENNIG, squeeze_me=True, struct_as_record=False)["D"].blocks[0]
    assert stored.spikes.shape == (4788, 87)
    counts = np.array_split(stored.spikes.astype(np.float64), 21)
    now, following = np.array_split(stored.vel, 21), np.array_split(stored.velNext, 21)
    rng = np.random.default_rng(0)
    assert velocity_decoding(RidgeDecoder(3), counts, following, rng) > 0.94
    assert velocity_decoding(KalmanDecoder(), counts, following, rng) > 0.94
    assert velocity_decoding(KalmanDecoder(), counts, now, rng) > 0.8
    # 4788 is 21 × 228, so that blocks can change places.
    assert velocity_decoding(RidgeDecoder(1), counts[1:] + counts[:1], following, rng) < 0.05


def test_bad_input_raises():
    counts, velocities = recording(n=4, n_times=30)
    rng, decoder = np.random.default_rng(3), KalmanDecoder()
    with pytest.raises(ResponsesError, match="4 stretches of counts and 3 of velocities"):
        velocity_decoding(decoder, counts, velocities[:3], rng)
    with pytest.raises(ResponsesError, match="Divide a continuous recording into blocks"):
        velocity_decoding(decoder, counts[:2], velocities[:2], rng)
    with pytest.raises(ResponsesError, match=r"\(29, 2\) in stretch 1"):
        velocity_decoding(decoder, counts, [velocities[0], velocities[1][1:], *velocities[2:]], rng)
    with pytest.raises(ResponsesError, match="NaN or infinite values in stretch 0"):
        velocity_decoding(decoder, [counts[0] * np.nan, *counts[1:]], velocities, rng)
    with pytest.raises(ResponsesError, match=r"1 of which do not vary \(such as \[2\]\)"):
        velocity_decoding(decoder, [each * (np.arange(15) != 2) for each in counts], velocities, rng)
    with pytest.raises(ResponsesError, match="more bins than units"):
        KalmanFilter.fit([counts[0][:10]], [velocities[0][:10]])
    with pytest.raises(ResponsesError, match="30 bins are too short for a decoder that reads over 31"):
        velocity_decoding(RidgeDecoder(31), counts, velocities, rng)
    with pytest.raises(ResponsesError, match="30 bins are too short for a decoder that reads over 32"):
        velocity_decoding(KalmanDecoder(30), counts, velocities, rng)
