"""What cannot be scored is a clear error, or a missing value with a note that spoils nothing else."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from brainalign.compare import evaluate, score
from brainalign.compare.candidates import Candidate
from brainalign.data import Recording
from brainalign.data.responses import make_responses
from brainalign.errors import AlignmentError, BrainalignError, NeedsError, ResponsesError, UnknownNameError

QUICK = {"n_resamples": 30}
METRICS = ["ridge", "ridge_fixed", "pls:n_components=3", "cka", "rsa", "rsa:rdm=euclidean,compare=pearson"]


def table_of(scores: xr.Dataset) -> pd.DataFrame:
    return scores.to_dataframe().reset_index(drop=True)


def cell(scores: xr.Dataset, **where) -> pd.Series:
    table = table_of(scores)
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1, where
    return table.iloc[0]


def over_time(recording, name="timed"):
    values = recording["V4"].values
    timed = make_responses(
        values, recording.stimuli.ids, region="V4", subject="m1", dims=("stimulus", "unit", "time")
    )
    return Recording(name, recording.stimuli, {"V4": timed})


@pytest.mark.parametrize("metrics", [None, "ridge", ["cka", "rsa"]])
def test_responses_over_time_say_what_to_do(make_recording, make_network, metrics):
    timed = over_time(make_recording())
    with pytest.raises(NeedsError, match="choose a window and average it first"):
        score(("a", make_network()), timed, metrics, **QUICK)
    beside = score(("a", make_network()), [make_recording(), timed], metrics, **QUICK)
    rows = table_of(beside)
    rows = rows[rows["recording"] == "timed"]
    assert len(rows) and rows["raw"].isna().all()
    assert rows["note"].str.contains("choose a window and average it first").all()


def test_a_need_that_is_not_met_names_what_would_do(make_recording, make_network):
    with pytest.raises(NeedsError, match="has no responses, which pls needs. Choose another metric"):
        score(("a", make_network()), make_recording().only("IT"), "pls", **QUICK)
    with pytest.raises(NeedsError, match="which ridge needs. Metrics that it allows: rsa"):
        score(("a", make_network()), make_recording().only("IT"), ["ridge", "rsa"], **QUICK)


def test_a_recording_without_images(make_recording, make_network):
    without = make_recording("blind", with_images=False)
    with pytest.raises(NeedsError, match="'blind' comes without images.*card of your own"):
        score(("a", make_network()), without, **QUICK)
    with pytest.raises(NeedsError, match="'blind' comes without images"):
        score(("a", make_network()), [make_recording(), without], **QUICK)
    no_stimuli = Recording("bare", responses={"V4": without["V4"]})
    with pytest.raises(NeedsError, match="'bare' comes without images"):
        score(("a", make_network()), no_stimuli, **QUICK)


def test_ids_that_do_not_match_or_repeat(make_recording):
    plain = make_recording()
    strange = plain["V4"].assign_coords(stimulus=[f"x{i:02d}" for i in range(24)])
    with pytest.raises(AlignmentError, match="answers 24 stimuli that its stimulus set lacks, such as 'x00'"):
        Recording("test", plain.stimuli, {"V4": strange})
    twice = plain["V4"].assign_coords(stimulus=[*plain.stimuli.ids[:23], "s00"])
    with pytest.raises(ResponsesError, match="repeats 1 stimulus ids, such as 's00'"):
        Recording("test", plain.stimuli, {"V4": twice})


@pytest.mark.parametrize("metric", ["ridge", "cka", "rsa"])
def test_too_few_stimuli(make_recording, make_network, metric):
    with pytest.raises(ResponsesError, match="Region 'V4' of 'test' has 9 stimuli; a comparison needs 10"):
        score(("a", make_network()), make_recording(n=9), metric, **QUICK)
    scores = score(("a", make_network()), make_recording(n=10).only("V4"), metric, **QUICK)
    assert np.isfinite(cell(scores, layer="head")["raw"])


def test_activations_that_are_no_numbers_name_the_layer(make_recording, make_network):
    network = make_network()
    with torch.no_grad():
        network.head.weight[0, 0] = torch.nan
    with pytest.raises(ResponsesError, match="Layer 'head' answers with NaN or infinite values"):
        score(("a", network), make_recording(), "cka", **QUICK)


def test_unknown_names_show_the_closest(make_recording, make_network):
    recording, network = make_recording(), ("a", make_network())
    with pytest.raises(UnknownNameError, match="Did you mean 'ridge'"):
        score(network, recording, "rigde", **QUICK)
    with pytest.raises(UnknownNameError, match="Did you mean 'convnet'"):
        score("convnett", recording, "ridge", **QUICK)
    with pytest.raises(UnknownNameError, match="'blocks.7'"):
        score(network, recording, "ridge", layers="blocks.7", **QUICK)
    with pytest.raises(UnknownNameError, match="Did you mean 'cowley2023'"):
        score(network, "cowley2032", "ridge", **QUICK)


@pytest.mark.parametrize("metric", METRICS)
def test_a_dead_layer_has_a_note_and_spoils_nothing(make_recording, partly_dead, metric):
    recording = make_recording().only("V4")
    scores = score(("a", partly_dead), recording, metric, layers=["dead", "alive"], **QUICK)
    dead = cell(scores, layer="dead")
    assert np.isnan(dead[["raw", "low", "high", "spread", "score"]].astype(float)).all()
    assert dead["note"].startswith("the layer answers all stimuli alike")
    assert dead["layer_units"] == 5
    alone = score(("a", partly_dead), recording, metric, layers="alive", **QUICK)
    for layer in ("alive", "committed"):
        pd.testing.assert_series_equal(cell(scores, layer=layer), cell(alone, layer=layer), check_names=False)


@pytest.mark.parametrize("metric", METRICS)
def test_a_network_all_of_whose_layers_are_dead(make_recording, partly_dead, metric):
    recording = make_recording().only("V4")
    scores = score(("dead", partly_dead), recording, metric, layers="dead", **QUICK)
    committed = cell(scores, layer="committed")
    assert np.isnan(committed[["raw", "low", "high", "spread", "score"]].astype(float)).all()
    assert committed["note"].startswith("no layer can be compared")


def test_a_dead_network_beside_a_living_one(make_recording, make_network):
    dead = make_network(1)
    with torch.no_grad():
        for parameter in dead.parameters():
            parameter.zero_()
    networks = [("dead", dead), ("a", make_network())]
    for metric in METRICS:
        evaluation = evaluate(networks, make_recording().only("V4"), metric, **QUICK)
        table = table_of(evaluation.scores)
        assert table[table["network"] == "dead"]["raw"].isna().all()
        assert table[table["network"] == "a"]["raw"].notna().all()
        row = evaluation.differences.iloc[0]
        assert np.isnan(row["difference"]) and not row["better"]


def test_masked_units_are_counted_for_every_metric(make_recording, make_network):
    values = make_recording()["V4"].values.copy()
    values[3, 2] = np.nan
    values[:, 5] = 1.0
    ids = [f"s{i:02d}" for i in range(24)]
    responses = make_responses(values, ids, region="V4", subject="m1", dims=("stimulus", "unit", "repeat"))
    scores = score(("a", make_network()), make_recording(regions={"V4": responses}), METRICS, **QUICK)
    kept = make_recording(regions={"V4": responses.isel(unit=[0, 1, 3, 4, 6, 7])})
    alone = score(("a", make_network()), kept, METRICS, **QUICK)
    assert (scores["n_units"] == 6).all() and (scores["n_units_masked"] == 2).all()
    np.testing.assert_allclose(scores["raw"], alone["raw"], rtol=0, atol=1e-12)


def test_without_repeats_scores_are_missing_and_say_why(make_recording, make_network):
    plain = make_recording()
    mean = {"V4": plain["V4"].mean("repeat")}
    scores = score(("a", make_network()), make_recording(regions=mean), ["ridge", "cka", "rsa"], **QUICK)
    assert (
        np.isfinite(scores["raw"]).all()
        and np.isnan(scores["score"]).all()
        and np.isnan(scores["ceiling"]).all()
    )
    assert all("no ceiling: " in note for note in scores["note"].values)


def test_networks_are_told_apart_by_name_and_seed(make_recording, make_network):
    recording = make_recording().only("V4")
    with pytest.raises(BrainalignError, match="Two networks are named 'ConvNet'.*pairs"):
        score([make_network(0), make_network(1)], recording, "cka", **QUICK)
    one = make_network(0)
    assert len(table_of(score([one, one], recording, "cka", **QUICK))) == 4
    seeds = [Candidate("a", seed, module=make_network(seed)) for seed in range(3)]
    evaluation = evaluate([*seeds, ("b", make_network(9))], recording, "cka", **QUICK)
    assert evaluation.differences[["network", "other", "seeds", "other_seeds"]].values.tolist() == [
        ["a", "b", 3, 1]
    ]
    assert sorted(set(evaluation.scores["seed"].values)) == [-1, 0, 1, 2]


def test_one_network_under_two_names_of_the_catalogue(make_recording):
    names = ["convnet", "convnet@untrained", "convnet@untrained:0"]
    scores = score(names, make_recording().only("V4"), "cka", layers="head", **QUICK)
    assert scores["network"].values.tolist() == ["convnet@untrained"] * 2
    assert scores["seed"].values.tolist() == [0, 0]


def test_recordings_and_metrics_are_told_apart_by_name(make_recording, make_network):
    network, first = ("a", make_network()), make_recording().only("V4")
    with pytest.raises(BrainalignError, match="Two recordings are named 'test'"):
        score(network, [first, make_recording().only("V4")], "cka", **QUICK)
    once = score(network, first, "cka", **QUICK)
    xr.testing.assert_identical(score(network, [first, first], ["cka", "cka"], **QUICK), once)


@pytest.mark.parametrize("kind", ["network", "recording", "metric"])
def test_nothing_given_raises(make_recording, make_network, kind):
    things = {"network": ("a", make_network()), "recording": make_recording(), "metric": "cka"} | {kind: []}
    with pytest.raises(BrainalignError, match=f"No {kind} was given"):
        score(things["network"], things["recording"], things["metric"], **QUICK)


def test_one_sample_gives_no_interval(make_recording, make_network):
    with pytest.raises(BrainalignError, match="1 bootstrap samples give no interval"):
        score(("a", make_network()), make_recording(), "cka", n_resamples=1)


@pytest.mark.parametrize("metric", ["cka", "rsa", "ridge", "ridge:n_splits=2,n_alphas=5"])
def test_without_samples_there_are_values_without_intervals(make_recording, make_network, metric):
    networks = [("a", make_network()), ("b", make_network(seed=1))]
    bare, full = (evaluate(networks, make_recording(), metric, n_resamples=n) for n in (0, 30))
    np.testing.assert_allclose(bare.scores["raw"], full.scores["raw"], rtol=1e-12)
    assert bare.scores["low"].isnull().all() and full.scores["low"].notnull().any()
    assert bare.differences["p"].isna().all()
