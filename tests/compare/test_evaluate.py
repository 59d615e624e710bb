"""The whole of scoring: what goes in comes out as the right rows, alike each time, and from the cache."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from rsatoolbox.inference import boot_noise_ceiling
from rsatoolbox.rdm import RDMs
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV

from brainalign.compare import Evaluation, evaluate, score
from brainalign.compare.splits import train_test_splits
from brainalign.data import Recording
from brainalign.data.responses import make_responses
from brainalign.data.stimuli import StimulusSet
from brainalign.files import cache_folder
from brainalign.metrics.rdm import to_condensed
from brainalign.metrics.ridge import relative_alphas
from brainalign.networks import Preprocessing, load_network
from brainalign.probing import probe

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


def test_a_row_for_each_layer_and_one_for_the_committed(make_recording, make_network):
    recording = make_recording()
    scores = score([("a", make_network(0)), "pixels:16"], recording, ["ridge", "rsa"], **QUICK)
    table = table_of(scores)
    rows = table.groupby(["network", "region", "metric"], sort=False)["layer"].agg(list)
    layers = ["blocks.0", "blocks.1", "head", "committed"]
    assert rows["a", "V4", "ridge"] == rows["a", "V4", "rsa"] == rows["a", "IT", "rsa"] == layers
    assert rows["pixels:16", "IT", "rsa"] == ["pixels", "committed"]
    # IT holds matrices: no responses to predict.
    assert rows["a", "IT", "ridge"] == [""]
    unmet = cell(scores, network="a", region="IT", metric="ridge")
    assert unmet["note"] == "Region 'IT' of 'test' has no responses, which ridge needs"
    assert np.isnan(unmet[["raw", "low", "high", "score", "ceiling"]].astype(float)).all()


def test_values_are_those_of_a_loop_over_features(make_recording, make_network):
    recording, network = make_recording(), make_network()
    scores = score(("a", network), recording, ["ridge", "rsa"], layers="blocks.1", **QUICK)
    layer = probe(network, recording.stimuli, "blocks.1", keep_features=True)["blocks.1"]
    x = layer.features.astype(float)
    y = recording["V4"].mean("repeat").values
    medians = []
    for train, test in train_test_splits(24):
        centred = x[train] - x[train].mean(axis=0)
        fit = RidgeCV(relative_alphas(centred @ centred.T, 41), alpha_per_target=True).fit(x[train], y[train])
        predicted = fit.predict(x[test])
        medians.append(np.median([np.corrcoef(predicted[:, u], y[test, u])[0, 1] for u in range(8)]))
    ridge = cell(scores, metric="ridge", region="V4", layer="blocks.1")
    assert ridge["raw"] == pytest.approx(np.mean(medians), abs=1e-4)
    assert ridge["spread"] == pytest.approx(np.std(medians), abs=1e-4)
    assert ridge["score"] == pytest.approx(np.sign(ridge["raw"]) * (ridge["raw"] / ridge["ceiling"]) ** 2)
    people = to_condensed(recording["IT"].values)
    rsa = cell(scores, metric="rsa", region="IT", layer="blocks.1")
    expected = np.mean([spearmanr(pdist(x, "correlation"), rdm)[0] for rdm in people])
    assert rsa["raw"] == pytest.approx(expected, abs=1e-4)
    ceilings = boot_noise_ceiling(RDMs(people), method="spearman")
    np.testing.assert_allclose([rsa["ceiling_lower"], rsa["ceiling"]], ceilings, atol=1e-10)
    assert rsa["score"] == pytest.approx(rsa["raw"] / rsa["ceiling"])


def test_what_stands_beside_each_score(make_recording, make_network):
    recording, network = make_recording(), make_network()
    evaluation = evaluate(("a", network), recording, ["ridge", "cka", "rsa"], **QUICK)
    scores = evaluation.scores
    ridge = cell(scores, metric="ridge", region="V4", layer="blocks.0")
    expected = {
        "recording": "test", "region": "V4", "subject": "m1", "network": "a", "seed": -1, "checkpoint": -1,
        "task": "", "rule": "", "n_stimuli": 24, "n_units": 8, "n_units_masked": 0, "layer_units": 4 * 8 * 8,
        "resampled": "stimuli", "note": "",
    }  # fmt: skip
    assert {key: ridge[key] for key in expected} == expected
    assert ridge["low"] < ridge["raw"] < ridge["high"]
    features = probe(network, recording.stimuli, "blocks.0", keep_features=True)["blocks.0"].features
    eigenvalues = np.linalg.eigvalsh(np.cov(features.T.astype(float)))
    assert ridge["participation_ratio"] == pytest.approx(
        eigenvalues.sum() ** 2 / (eigenvalues**2).sum(), rel=1e-3
    )
    rsa = cell(scores, metric="rsa", region="IT", layer="head")
    assert (rsa["subject"], rsa["n_units"], rsa["resampled"]) == ("", -1, "stimuli and subjects")
    committed = cell(scores, metric="cka", region="V4", layer="committed")
    assert committed["layer_units"] == -1 and np.isnan(committed["participation_ratio"])
    assert committed["note"].startswith("layer chosen on other stimuli: ")
    details = evaluation.details
    assert set(details["metric"]) == {"ridge", "rsa"}
    of_layer = details[(details["metric"] == "ridge") & (details["layer"] == "blocks.0")]
    assert len(of_layer) == 8
    np.testing.assert_allclose(
        of_layer["explained"], np.sign(of_layer["r"]) * of_layer["r"] ** 2 / of_layer["reliability"]
    )
    assert np.sqrt(of_layer["reliability"].median()) == pytest.approx(ridge["ceiling"], abs=1e-12)


def test_attributes_say_where_the_numbers_come_from(make_recording, make_network):
    recording = make_recording("alone", simulated=True)
    attrs = score(("a", make_network()), recording, ["cka"], seed=4, **QUICK).attrs
    assert attrs["simulated"] == 1 and attrs["seed"] == 4 and attrs["reduction"] == "whole"
    assert attrs["interval"] == "95 % t-interval of raw" and attrs["n_resamples"] == 30
    assert json.loads(attrs["citations"]) == {"alone": "alone et al. 2020"}
    assert json.loads(attrs["licences"]) == {"alone": "CC0"}
    assert json.loads(attrs["stimuli"]) == {"alone": recording.stimuli.content_hash()}
    assert "Kornblith" in json.loads(attrs["metric_citations"])["cka"]
    assert json.loads(attrs["metric_labels"]) == {"cka": "debiased CKA"}
    assert {"brainalign", "torch", "numpy"} <= set(json.loads(attrs["versions"]))
    assert score(("a", make_network()), make_recording(), ["cka"], **QUICK).attrs["simulated"] == 0


def same_scores(first: Evaluation, second: Evaluation, tolerance: float) -> None:
    xr.testing.assert_allclose(first.scores, second.scores, rtol=0, atol=tolerance)
    assert first.scores["note"].values.tolist() == second.scores["note"].values.tolist()
    pd.testing.assert_frame_equal(first.differences, second.differences, rtol=0, atol=tolerance)


def test_rows_and_stimuli_in_another_order_change_nothing(make_recording, make_network):
    networks = [("a", make_network(0)), ("b", make_network(1))]
    plain = evaluate(networks, make_recording(), METRICS, **QUICK)
    order = np.random.default_rng(5).permutation(24)
    shuffled = evaluate(networks, make_recording(order=order), METRICS, cache=False, **QUICK)
    same_scores(plain, shuffled, 1e-10)


def test_only_the_rows_in_another_order_change_nothing(make_recording, make_network):
    plain = make_recording()
    order = np.random.default_rng(6).permutation(24)
    v4, it = plain["V4"].isel(stimulus=order), plain["IT"].isel(stimulus=order, other_stimulus=order)
    shuffled = Recording("test", plain.stimuli, {"V4": v4}, {"IT": it}, provenance=plain.provenance)
    network = ("a", make_network())
    same_scores(
        evaluate(network, plain, METRICS, **QUICK), evaluate(network, shuffled, METRICS, **QUICK), 1e-10
    )


def test_trials_in_any_order_equal_repeats(make_recording, make_network):
    plain = make_recording()
    repeats = plain["V4"].values
    order = np.random.default_rng(7).permutation(24 * 6)
    trials = repeats.transpose(0, 2, 1).reshape(-1, 8)[order]
    ids = [plain.stimuli.ids[row // 6] for row in order]
    as_trials = make_responses(trials, ids, region="V4", subject="m1", dims=("trial", "unit"))
    recording = Recording("test", plain.stimuli, {"V4": as_trials}, provenance=plain.provenance)
    network = ("a", make_network())
    metrics = [name for name in METRICS if not name.startswith("rsa")] + ["rsa:rdm=euclidean"]
    same_scores(
        evaluate(network, plain.only("V4"), metrics, **QUICK),
        evaluate(network, recording, metrics, **QUICK),
        1e-10,
    )


def test_regions_that_answer_some_of_the_stimuli(make_recording, make_network):
    plain = make_recording()
    some = plain.stimuli.ids[3:20]
    part = Recording("test", plain.stimuli, {"V4": plain["V4"].sel(stimulus=some)}, {"IT": plain["IT"]})
    alone = Recording("test", plain.stimuli.select(some), {"V4": plain["V4"].sel(stimulus=some)})
    network = ("a", make_network())
    for metric in ("ridge", "cka", "rsa"):
        ours = cell(score(network, part, metric, **QUICK), region="V4", layer="head")
        theirs = cell(score(network, alone, metric, **QUICK), region="V4", layer="head")
        assert ours["n_stimuli"] == 17
        assert ours["raw"] == pytest.approx(theirs["raw"], abs=1e-5)


def test_images_shown_twice_never_leak(make_recording, make_network):
    ids = [f"s{i:02d}" for i in range(24)]
    twins = pd.DataFrame({"image": [ids[i % 12] for i in range(24)]}, index=pd.Index(ids, name="stimulus"))
    noise = np.random.default_rng(8).normal(size=(12, 6))
    region = {"V4": make_responses(np.concatenate([noise, noise]), ids, region="V4", subject="m1")}
    doubled = dict(zip(ids, [f"s{i % 12:02d}" for i in range(24)], strict=True))
    raws = {}
    for name, metadata in (("said", twins), ("unsaid", twins.drop(columns="image"))):
        plain = make_recording(name, region, metadata=metadata)
        shown = {i: plain.stimuli.images[doubled[i]] for i in ids}
        stimuli = type(plain.stimuli)(name, metadata, shown)
        recording = Recording(name, stimuli, region)
        raws[name] = cell(
            score(("a", make_network()), recording, "ridge", layers="head", **QUICK), layer="head"
        )["raw"]
    assert raws["unsaid"] > 0.9
    assert raws["said"] < 0.5


def test_several_recordings_side_by_side(make_recording, make_network):
    first, second = make_recording("first"), make_recording("second").only("IT")
    evaluation = evaluate(("a", make_network()), [first, second], ["ridge", "rsa"], **QUICK)
    table = table_of(evaluation.scores)
    assert table["recording"].unique().tolist() == ["first", "second"]
    unmet = table[(table["recording"] == "second") & (table["metric"] == "ridge")].iloc[0]
    assert unmet["note"].endswith("has no responses, which ridge needs") and np.isnan(unmet["raw"])
    alone = table_of(score(("a", make_network()), first, ["ridge", "rsa"], **QUICK))
    pd.testing.assert_frame_equal(table[table["recording"] == "first"].reset_index(drop=True), alone)


def test_default_metrics_are_those_that_a_recording_allows(make_recording, make_network):
    both, matrices = make_recording("both"), make_recording("matrices").only("IT")
    table = table_of(score(("a", make_network()), [both, matrices], **QUICK))
    found = table.groupby("recording")["metric"].unique().map(sorted).to_dict()
    assert found == {"both": ["ridge", "rsa"], "matrices": ["rsa"]}
    assert table["raw"].notna().all()


def test_the_seed_decides_draws_and_nothing_else(make_recording, make_network):
    first, second = (
        evaluate(("a", make_network()), make_recording(), ["ridge", "rsa"], seed=seed, **QUICK).scores
        for seed in (0, 1)
    )
    layers = first["layer"].values != "committed"
    np.testing.assert_array_equal(first["raw"].values[layers], second["raw"].values[layers])
    assert (first["low"].values[layers] != second["low"].values[layers])[:3].all()


def test_controls_see_images_their_own_way(make_recording, make_network):
    # Layers and preprocessing are named for networks; pixels have neither of them.
    scores = score(
        [("a", make_network()), "pixels:16"], make_recording().only("V4"), "cka",
        layers="head", preprocessing=Preprocessing(16, mean=(0.0,) * 3, std=(0.1,) * 3), **QUICK,
    )  # fmt: skip
    assert scores["layer"].values.tolist() == ["head", "committed", "pixels", "committed"]
    plain = score("pixels:16", make_recording().only("V4"), "cka", **QUICK)
    assert cell(scores, layer="pixels")["raw"] == cell(plain, layer="pixels")["raw"]


def test_layers_are_found_in_which_the_answer_lies(make_recording, make_network):
    # Units that read out the head of one network: that network, and that layer, must win.
    recording, network = make_recording(), make_network(0)
    head = probe(network, recording.stimuli, "head", keep_features=True)["head"].features.astype(float)
    generator = np.random.default_rng(9)
    repeats = head[:, :8, None] / head.std() + 0.2 * generator.normal(size=(24, 8, 6))
    region = make_responses(
        repeats, recording.stimuli.ids, region="V4", subject="m1", dims=("stimulus", "unit", "repeat")
    )
    networks = [("true", network), ("other", make_network(5))]
    evaluation = evaluate(
        networks, make_recording(regions={"V4": region}), "rsa:rdm=euclidean", n_resamples=200
    )
    committed = cell(evaluation.scores, network="true", layer="committed")
    assert "head (6 of 6)" in committed["note"]
    row = evaluation.differences.iloc[0]
    assert row["better"] and row["difference"] > 0.1
    same = evaluate(
        [("true", network), ("again", make_network(0))], make_recording(regions={"V4": region}), "ridge"
    )
    assert same.differences[["difference", "low", "high"]].values.tolist() == [[0.0, 0.0, 0.0]]


def stored() -> set:
    return {path for path in cache_folder().rglob("*.npz")}


def test_twice_the_same_reads_the_cache_and_writes_the_same_bytes(make_recording, tmp_path, monkeypatch):
    names = ["convnet@untrained:0", "pixels:16"]
    first = evaluate(names, make_recording(), METRICS, **QUICK).save(tmp_path / "first" / "scores.nc")
    files = stored()
    assert files

    def refuse(*_args):
        raise AssertionError("an image was loaded though the networks' answers are stored")

    monkeypatch.setattr(StimulusSet, "image", refuse)
    second = evaluate(names, make_recording(), METRICS, **QUICK).save(tmp_path / "second" / "scores.nc")
    assert stored() == files
    assert [path.name for path in first] == [path.name for path in second]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_another_weight_or_image_size_misses_the_cache(make_recording):
    recording = make_recording().only("V4")

    def run(network):
        before = stored()
        table = table_of(score(("a", network), recording, "cka", **QUICK))
        return table, stored() - before

    network = load_network("convnet@untrained:0")
    plain, new = run(network)
    assert new
    again, new = run(load_network("convnet@untrained:0"))
    assert not new
    pd.testing.assert_frame_equal(plain, again)
    with torch.no_grad():
        network.get_parameter("blocks.0.linear.weight")[0, 0, 0, 0] += 0.5
    changed, new = run(network)
    assert new and (changed["raw"] != plain["raw"]).all()
    larger, new = run(load_network("convnet@untrained:0", image_size=40))
    assert new and (larger["raw"] != plain["raw"]).all()
    resized = load_network("convnet@untrained:0")
    before = stored()
    seen = score(
        ("a", resized), recording, "cka", layers="blocks.0",
        preprocessing=Preprocessing(32, mean=(0.0,) * 3, std=(1.0,) * 3), **QUICK,
    )  # fmt: skip
    assert stored() - before and float(seen["raw"][0]) != plain["raw"][0]
