"""Outcomes into rows: layers that tell nothing apart, missing values, and what the notes say."""

import numpy as np
import pytest

from brainalign.compare.candidates import Candidate
from brainalign.compare.problems import Problem, make_problems
from brainalign.compare.rows import score_network
from brainalign.data import Recording
from brainalign.data.responses import make_rdms, make_responses
from brainalign.metrics import find_metric
from brainalign.probing import Representation

N = 20
IDS = [f"s{i:02d}" for i in range(N)]
NETWORK = Candidate("net", seed=3, rule="backprop")
NUMBERS = ("raw", "low", "high", "spread", "score")


def features(seed=0, p=400):
    return np.random.default_rng(seed).normal(size=(N, p))


def problem(metric):
    responses = make_responses(features(1, 8), IDS, region="V4", subject="m")
    (found,) = make_problems(Recording("test", responses={"V4": responses}), [find_metric(metric)], 20, 0)
    return found


def rows_of(metric, *layers):
    representations = [Representation.from_features(x, IDS, f"layer{k}") for k, x in enumerate(layers)]
    return score_network("test", problem(metric), NETWORK, representations)


METRICS = ["ridge", "pls", "cka", "rsa", "rsa:rdm=euclidean", "rsa:rdm=cosine"]


@pytest.mark.parametrize("metric", METRICS)
def test_rounding_is_no_answer(metric):
    # Equal answers that differ in their last place, as they do from one batch size to another.
    constant = np.full((N, 400), 1000 / 3, dtype=np.float32) * np.linspace(0.1, 1, 400, dtype=np.float32)
    ulp = constant * np.float32(2.0**-23)
    jitter = constant + ulp * np.random.default_rng(0).integers(-1, 2, constant.shape).astype(np.float32)
    rows, _, _ = rows_of(metric, jitter, features())
    assert rows[0]["note"].startswith("the layer answers all stimuli alike")
    assert np.isnan([rows[0][name] for name in NUMBERS]).all()
    assert np.isfinite(rows[1]["raw"])


@pytest.mark.parametrize("metric", METRICS)
def test_a_small_answer_on_a_large_mean_is_one(metric):
    small = (features() + 1e3).astype(np.float32)
    rows, _, _ = rows_of(metric, small)
    assert np.isfinite(rows[0]["raw"])
    assert "alike" not in rows[0]["note"]


def test_a_row_says_whose_it_is():
    rows, details, committed = rows_of("ridge", features(), features(2, 30))
    assert [row["layer"] for row in rows] == ["layer0", "layer1", "committed"]
    for row in rows:
        assert (row["recording"], row["region"], row["network"], row["seed"], row["rule"], row["metric"]) == (
            "test", "V4", "net", 3, "backprop", "ridge",
        )  # fmt: skip
    assert [row["layer_units"] for row in rows] == [400, 30, -1]
    assert committed is not None and committed.raw == rows[2]["raw"]
    assert [table["layer"].unique().tolist() for table in details] == [["layer0"], ["layer1"]]
    assert all(
        {"recording", "region", "network", "seed", "metric", "unit", "r"} <= set(table) for table in details
    )


def test_notes_are_joined():
    rows, _, _ = rows_of("ridge", features())
    assert rows[0]["note"].startswith("no ceiling: ")
    assert rows[1]["note"].startswith("layer chosen on other stimuli: layer0 (10 of 10); no ceiling: ")


def test_no_comparison_is_one_row_with_the_reason():
    unmet = Problem("V4", find_metric("cka"), None, "it lacks what cka needs")
    rows, details, committed = score_network("test", unmet, NETWORK, [])
    assert len(rows) == 1 and details == [] and committed is None
    assert rows[0]["note"] == "it lacks what cka needs" and np.isnan(rows[0]["raw"])
    assert set(rows[0]) == set(rows_of("cka", features())[0][0])


def test_a_value_that_is_missing_always_has_a_note():
    # One subject's matrix orders nothing, so no mean over subjects exists.
    values = np.random.default_rng(3).gamma(2.0, size=(3, N * (N - 1) // 2))
    values[1] = 1.0
    recording = Recording("test", rdms={"IT": make_rdms(values, IDS, ["a", "b", "c"])})
    (found,) = make_problems(recording, [find_metric("rsa")], 20, 0)
    rows, _, _ = score_network("test", found, NETWORK, [Representation.from_features(features(), IDS)])
    assert np.isnan(rows[0]["raw"]) and rows[0]["note"].startswith("the metric is undefined on these stimuli")
    assert rows[1]["note"].startswith("no layer can be compared")


def test_layers_come_in_the_order_of_the_recording():
    order = np.random.default_rng(4).permutation(N)
    shuffled = Representation.from_features(features()[order], [IDS[i] for i in order], "layer0")
    rows, _, _ = score_network("test", problem("ridge"), NETWORK, [shuffled])
    assert rows[0]["raw"] == pytest.approx(rows_of("ridge", features())[0][0]["raw"], abs=1e-10)


@pytest.mark.parametrize("metric,scored", [("cka", True), ("cka:debiased=False", False), ("procrustes", False)])
def test_half_of_the_stimuli_are_not_held_against_the_ceiling_where_chance_depends_on_their_number(
    metric, scored
):
    signal = features(1, 8)
    noise = np.random.default_rng(2).normal(0.0, 0.2, (N, 8, 4))
    repeated = make_responses(
        signal[:, :, None] + noise, IDS, region="V4", subject="m", dims=("stimulus", "unit", "repeat")
    )
    (found,) = make_problems(Recording("test", responses={"V4": repeated}), [find_metric(metric)], 20, 0)
    layer = Representation.from_features(signal, IDS, "layer")
    rows, _, _ = score_network("test", found, NETWORK, [layer])
    assert np.isfinite(rows[0]["score"]) and np.isfinite(rows[1]["raw"])
    assert np.isfinite(rows[1]["score"]) == scored
