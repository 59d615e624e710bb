"""Variance partitioning: known answers, scikit-learn's fits, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.linear_model import RidgeCV

from brainalign.compare.held_out import HeldOutUnits
from brainalign.compare.partition import explained_variance, partition_variance
from brainalign.compare.splits import train_test_splits
from brainalign.data import Recording, make_rdms
from brainalign.data.responses import make_responses
from brainalign.errors import AlignmentError, BrainalignError, NeedsError
from brainalign.metrics.banded import band_weights
from brainalign.probing import Representation

N, Q = 200, 8
IDS = [f"s{i:03d}" for i in range(N)]
QUICK = {"n_mixtures": 4, "n_alphas": 11, "n_resamples": 50}


def uncorrelated() -> np.ndarray:
    """Columns of mean 0, variance 1 and no correlation in this very sample."""
    drawn = np.random.default_rng(0).normal(size=(N, 60))
    return np.linalg.qr(drawn - drawn.mean(axis=0))[0] * np.sqrt(N)


COLUMNS = uncorrelated()


def factor(k):
    """Four features that have nothing in common with those of any other k."""
    return COLUMNS[:, 4 * k : 4 * k + 4]


def readout(x, seed):
    """Drive of unit variance by random weights."""
    weights = np.random.default_rng(seed).normal(size=(x.shape[1], Q))
    return x @ (weights / np.linalg.norm(weights, axis=0))


def noisy(drive, variance):
    return drive + np.sqrt(variance) * COLUMNS[:, -Q:]


def layer(x, name="layer"):
    return Representation.from_features(x, IDS, name)


def region(values, subject="m"):
    dims = ("stimulus", "unit", "repeat")[: values.ndim]
    return make_responses(values, IDS, region="V4", subject=subject, dims=dims)


def parts(groups, values, **options):
    """Value, low and high by share and groups."""
    table = partition_variance(groups, region(values), **{**QUICK, **options})
    return table.set_index(["share", "groups"])


A, B, C = factor(1), factor(2), factor(3)
TURN = np.linalg.qr(np.random.default_rng(4).normal(size=(4, 4)))[0]


@pytest.mark.parametrize("matters", ["A", "B"])
def test_the_group_that_matters_explains_alone(matters):
    other = "B" if matters == "A" else "A"
    y = noisy(readout(A if matters == "A" else B, 5), 0.25)
    found = parts({"A": layer(A), "B": layer(30 * B)}, y)
    value = found["value"]
    # Of a variance of 1.25 the drive is 1; a few features fitted to 180 stimuli lose little of it.
    assert value["joint", matters] == pytest.approx(0.8, abs=0.06)
    assert value["unique", matters] == pytest.approx(0.8, abs=0.06)
    for share in (("joint", other), ("unique", other), ("shared", "A + B")):
        assert value[share] == pytest.approx(0.0, abs=0.03)
    assert found.loc[("unique", matters), "low"] > 0.6
    assert found.loc[("unique", other), "low"] < 0.01


def test_redundant_groups_share_all_and_own_nothing():
    y = noisy(readout(A, 5), 0.25)
    value = parts({"A": layer(A), "B": layer(A @ TURN * 7 + 2)}, y)["value"]
    assert value["shared", "A + B"] == pytest.approx(0.8, abs=0.06)
    assert value["joint", "A"] == pytest.approx(value["joint", "B"], abs=1e-6)
    for name in "AB":
        assert value["unique", name] == pytest.approx(0.0, abs=1e-3)


def test_additive_groups_share_nothing():
    y = noisy(readout(A, 5) + np.sqrt(0.5) * readout(B, 6), 0.5)
    value = parts({"A": layer(A), "B": layer(B)}, y)["value"]
    assert value["joint", "A + B"] == pytest.approx(0.75, abs=0.06)
    assert value["unique", "A"] == pytest.approx(0.5, abs=0.08)
    assert value["unique", "B"] == pytest.approx(0.25, abs=0.08)
    assert value["shared", "A + B"] == pytest.approx(0.0, abs=0.06)


def test_what_exactly_two_of_three_groups_hold_is_shared_by_these_two():
    # A and B both hold one half of the drive, B and C nothing else in common.
    both, alone = factor(7), factor(8)
    y = noisy(readout(both, 5) + readout(alone, 6), 0.5)
    groups = {"A": layer(np.hstack([both, A])), "B": layer(np.hstack([both, alone])), "C": layer(C)}
    value = parts(groups, y, n_alphas=7, n_mixtures=2)["value"]
    expected = {"A": 0.0, "B": 0.4, "C": 0.0, "A + B": 0.4, "A + C": 0.0, "B + C": 0.0, "A + B + C": 0.0}
    for name, share in expected.items():
        kind = "shared" if "+" in name else "unique"
        assert value[kind, name] == pytest.approx(share, abs=0.08), name


@pytest.mark.parametrize("n_groups", [1, 2, 3, 4])
def test_shares_add_up_and_unique_is_all_less_all_but_one(n_groups):
    names = list("ABCD")[:n_groups]
    groups = {name: layer(factor(k)) for k, name in enumerate(names)}
    y = noisy(sum(readout(factor(k), k) for k in range(4)), 1.0)
    value = parts(groups, y, n_mixtures=0, n_alphas=3)["value"]
    assert len(value) == 2 * (2**n_groups - 1)
    together = value["joint", " + ".join(names)]
    assert value.drop("joint", level="share").sum() == pytest.approx(together, abs=1e-12)
    for name in names:
        others = [each for each in names if each != name]
        without = value["joint", " + ".join(others)] if others else 0.0
        assert value["unique", name] == pytest.approx(together - without, abs=1e-12)
    if n_groups > 1:
        a, b = names[:2]
        rest = names[2:]
        lacking = {
            lost: value["joint", " + ".join(each for each in names if each not in lost)] for lost in (a, b)
        }
        neither = value["joint", " + ".join(rest)] if rest else 0.0
        common = lacking[a] + lacking[b] - neither - together
        assert value["shared", f"{a} + {b}"] == pytest.approx(common, abs=1e-12)


def naive_predictions(bands, y, train, test):
    """Scikit-learn's leave-one-out ridge on weighted features side by side, the best mixture for each unit."""
    scaled = []
    for band in bands:
        centred = band - band[train].mean(axis=0)
        scaled.append(centred / np.sqrt(np.mean(np.sum(centred[train] ** 2, axis=1))))
    scores, predictions = [], []
    for weights in band_weights(len(bands), 2):
        wide = np.hstack([np.sqrt(w) * band for w, band in zip(weights, scaled, strict=True)])
        fit = RidgeCV(np.logspace(-5, 5, 5), alpha_per_target=True).fit(wide[train], y[train])
        scores.append(fit.best_score_)
        predictions.append(fit.predict(wide[test]))
    best = np.argmax(scores, axis=0)
    return np.stack(predictions)[best, :, np.arange(y.shape[1])].T


def test_values_and_intervals_are_those_of_a_loop_over_features():
    n_resamples, y = 6, noisy(readout(A, 5) + readout(B, 6), 1.0)
    compared = HeldOutUnits(region(y), "V4", n_resamples, 0)
    expected = np.zeros((3, 1 + n_resamples))
    for train, test in train_test_splits(N):
        test = np.sort(test)
        counts = np.vstack([np.ones(len(test)), compared.resamples.stimuli[:, test]])
        for row, bands in enumerate(([A], [50 * B], [A, 50 * B])):
            errors = (y[test] - naive_predictions(bands, y, train, test)) ** 2
            total = (y[test] - y[train].mean(axis=0)) ** 2
            for column, count in enumerate(counts):
                per_unit = 1 - (count[:, None] * errors).sum(axis=0) / (count[:, None] * total).sum(axis=0)
                expected[row, column] += np.median(per_unit) / 10
    a, b, both = expected
    rows = {
        ("joint", "A"): a,
        ("joint", "B"): b,
        ("joint", "A + B"): both,
        ("unique", "A"): both - b,
        ("unique", "B"): both - a,
        ("shared", "A + B"): a + b - both,
    }
    found = parts({"A": layer(A), "B": layer(50 * B)}, y, n_mixtures=2, n_alphas=5, n_resamples=n_resamples)
    t = scipy.stats.t.ppf(0.975, N - 1)
    of_other_fits = 1 + len(test) / len(train)
    for key, values in rows.items():
        half = t * np.sqrt(of_other_fits * N / (N - 1) * np.var(values[1:], ddof=1))
        assert found.loc[key, "value"] == pytest.approx(values[0], abs=1e-8)
        assert found.loc[key, "low"] == pytest.approx(values[0] - half, abs=1e-8)
        assert found.loc[key, "high"] == pytest.approx(values[0] + half, abs=1e-8)


def test_with_repeats_the_explainable_variance_is_the_measure():
    drive = readout(A, 5)
    values = drive[:, :, None] + 2.0 * np.random.default_rng(9).normal(size=(N, Q, 6))
    found = parts({"A": layer(A), "B": layer(B)}, values)
    plain = parts({"A": layer(A), "B": layer(B)}, values.mean(axis=2))
    assert (found["scale"] == "explainable variance").all() and (plain["scale"] == "variance").all()
    # The mean of six repeats holds 1 / (1 + 4 / 6) of signal.
    assert plain["value"]["joint", "A"] == pytest.approx(0.6, abs=0.07)
    assert found["value"]["joint", "A"] == pytest.approx(1.0, abs=0.1)


def test_a_group_of_several_layers_is_one_band():
    y = noisy(readout(A, 5) + readout(B, 6), 0.5)
    together = parts({"both": [layer(A), layer(1e3 * B)], "C": layer(C)}, y)["value"]
    # Each is scaled on all stimuli first; these two have the same mean eigenvalue.
    side = [x / np.sqrt(np.trace(layer(x).gram)) for x in (A, B)]
    as_one = parts({"both": layer(np.hstack(side)), "C": layer(C)}, y)["value"]
    np.testing.assert_allclose(together, as_one, atol=1e-8)


def test_a_group_that_does_not_vary_explains_nothing():
    y = noisy(readout(A, 5), 0.5)
    value = parts({"A": layer(A), "dead": layer(np.ones((N, 3)))}, y)["value"]
    assert value["joint", "dead"] == pytest.approx(0.0, abs=1e-12)
    assert value["unique", "dead"] == pytest.approx(0.0, abs=1e-3)


def test_explained_variance_of_the_training_mean_is_nothing():
    y, mean = np.random.default_rng(0).normal(size=(6, 3)), np.array([0.5, 0.0, -0.5])
    weights = np.array([[1.0] * 6, [0, 2, 1, 0, 3, 0], [0.0] * 6])
    np.testing.assert_array_equal(explained_variance(np.tile(mean, (6, 1)), y, mean, weights)[:2], 0.0)
    np.testing.assert_array_equal(explained_variance(y, y, mean, weights)[:2], 1.0)
    assert np.isnan(explained_variance(y, y, mean, weights)[2]).all()
    assert (explained_variance(-y, y, np.zeros(3), weights)[0] == -3.0).all()


def recording(**regions):
    responses = {name: values for name, values in regions.items() if "unit" in values.dims}
    rdms = {name: values for name, values in regions.items() if name not in responses}
    return Recording("test", None, responses, rdms)


def test_a_recording_gives_its_region():
    y = region(noisy(readout(A, 5), 0.5))
    groups = {"A": layer(A), "B": layer(B)}
    plain = partition_variance(groups, y, **QUICK)
    pd.testing.assert_frame_equal(partition_variance(groups, recording(V4=y), **QUICK), plain)
    pd.testing.assert_frame_equal(partition_variance(groups, recording(V4=y, IT=y), "IT", **QUICK), plain)
    assert (plain["n_units"] == Q).all() and (plain["n_stimuli"] == N).all()


def test_the_order_of_stimuli_changes_nothing():
    y, order = noisy(readout(A, 5), 0.5), np.random.default_rng(1).permutation(N)
    shuffled = Representation.from_features(A[order], [IDS[i] for i in order])
    plain, again = (parts({"A": a, "B": layer(B)}, y) for a in (layer(A), shuffled))
    np.testing.assert_allclose(again["value"], plain["value"], atol=1e-8)
    np.testing.assert_allclose(again["low"], plain["low"], atol=1e-8)


def test_bad_input_says_what_to_do():
    y, one = region(noisy(readout(A, 5), 0.5)), layer(A)
    with pytest.raises(BrainalignError, match="one to 4 groups.*; 0 groups were given"):
        partition_variance({}, y)
    with pytest.raises(BrainalignError, match="one to 4 groups.*; 5 groups were given"):
        partition_variance({str(k): one for k in range(5)}, y)
    with pytest.raises(BrainalignError, match="group 'none' is empty"):
        partition_variance({"A": one, "none": []}, y)
    with pytest.raises(BrainalignError, match="has 2 regions; name one of V4, IT"):
        partition_variance({"A": one}, recording(V4=y, IT=y))
    with pytest.raises(BrainalignError, match="Did you mean 'V4'"):
        partition_variance({"A": one}, recording(V4=y), "V5")
    rdms = make_rdms(np.ones((3, N, N)) - np.eye(N), IDS, ["p1", "p2", "p3"])
    with pytest.raises(NeedsError, match="needs responses of units"):
        partition_variance({"A": one}, recording(IT=rdms))
    with pytest.raises(AlignmentError, match="was not shown"):
        partition_variance({"A": one.select(IDS[:50])}, y, **QUICK)
