"""The Scores table: its columns and types, and that it comes back from disk as it was written."""

import json
import os
import time

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from brainalign.compare import evaluate, load_scores, save_scores
from brainalign.compare.scores import COUNTS, LABELS, NUMBERS, TEXTS, VALUES, make_scores
from brainalign.errors import BrainalignError

QUICK = {"n_resamples": 30}


@pytest.fixture
def evaluation(make_recording, make_network):
    networks = [("réseau ᴬ", make_network(0)), ("b", make_network(1))]
    return evaluate(networks, make_recording(), ["ridge", "rsa"], **QUICK)


def test_one_row_a_cell_with_the_columns_promised(evaluation):
    scores = evaluation.scores
    assert set(scores.dims) == {"cell"}
    assert set(scores.coords) == {
        "recording", "region", "subject", "network", "layer", "metric", "task", "rule", "seed", "checkpoint",
    }  # fmt: skip
    assert set(scores.data_vars) == {
        "raw", "low", "high", "spread", "score", "ceiling", "ceiling_lower", "chance", "p_value",
        "n_stimuli", "n_units", "n_units_masked", "layer_units", "participation_ratio", "resampled", "note",
    }  # fmt: skip
    for name in (*LABELS, *TEXTS):
        assert scores[name].dtype == object
        assert all(isinstance(value, str) for value in scores[name].values)
    for name in (*NUMBERS, *COUNTS):
        assert scores[name].dtype == np.int64
    for name in VALUES:
        assert scores[name].dtype == np.float64
    assert all(scores[name].attrs["long_name"] for name in scores.data_vars)
    assert (scores["checkpoint"] == -1).all() and (scores["task"] == "").all()


def test_intervals_hold_their_values(evaluation):
    scores = evaluation.scores.where(np.isfinite(evaluation.scores["raw"]), drop=True)
    assert (scores["low"] < scores["raw"]).all() and (scores["raw"] < scores["high"]).all()


def test_netcdf_gives_back_the_table(evaluation, tmp_path):
    save_scores(evaluation.scores, tmp_path / "scores.nc")
    loaded = load_scores(tmp_path / "scores.nc")
    xr.testing.assert_identical(loaded, evaluation.scores)
    for name in (*loaded.coords, *loaded.data_vars):
        assert loaded[name].dtype == evaluation.scores[name].dtype, name
    # The file is read whole and closed: it can be replaced while the table is in use.
    os.remove(tmp_path / "scores.nc")
    assert float(loaded["raw"].sum()) == float(evaluation.scores["raw"].sum())


def test_a_loaded_table_is_saved_as_it_was(evaluation, tmp_path):
    save_scores(evaluation.scores, tmp_path / "a.nc")
    save_scores(load_scores(tmp_path / "a.nc"), tmp_path / "b.nc")
    xr.testing.assert_identical(load_scores(tmp_path / "b.nc"), evaluation.scores)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_csv_says_the_same(evaluation, tmp_path):
    evaluation.save(tmp_path / "scores.csv")
    table = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False, na_values={name: "" for name in VALUES})
    expected = evaluation.scores.to_dataframe().reset_index(drop=True)
    assert sorted(table.columns) == sorted(expected.columns)
    pd.testing.assert_frame_equal(table[expected.columns], expected, check_dtype=False, rtol=1e-12)


def test_everything_beside_the_table_is_readable(evaluation, tmp_path):
    written = evaluation.save(tmp_path / "out" / "v4.nc")
    assert [path.name for path in written] == ["v4.nc", "v4.csv", "v4.differences.csv", "v4.details.csv"]
    for name, table in (("differences", evaluation.differences), ("details", evaluation.details)):
        read = pd.read_csv(tmp_path / "out" / f"v4.{name}.csv")
        assert list(read.columns) == list(table.columns) and len(read) == len(table)
        for column in table.select_dtypes("float"):
            np.testing.assert_allclose(read[column], table[column], rtol=1e-12)


@pytest.mark.parametrize("metric", ["cka", "ridge"])
def test_tables_without_rows_have_their_columns(make_recording, make_network, tmp_path, metric):
    # One network has no differences; CKA has no details.
    evaluate(("a", make_network()), make_recording(), metric, **QUICK).save(tmp_path / "s.nc")
    differences = pd.read_csv(tmp_path / "s.differences.csv")
    assert len(differences) == 0 and {"network", "other", "low", "high", "better"} <= set(differences.columns)
    assert {"network", "layer", "r"} <= set(pd.read_csv(tmp_path / "s.details.csv").columns)


def test_the_same_table_gives_the_same_bytes_at_another_time(evaluation, tmp_path):
    first = evaluation.save(tmp_path / "first" / "scores.nc")
    time.sleep(1.1)  # files that hold the time of writing do so in seconds
    second = evaluation.save(tmp_path / "second" / "scores.nc")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_attributes_are_plain(evaluation, tmp_path):
    save_scores(evaluation.scores, tmp_path / "scores.nc")
    attrs = load_scores(tmp_path / "scores.nc").attrs
    assert json.loads(attrs["metric_labels"])["ridge"].startswith("Pearson r")
    assert attrs["simulated"] == 0


@pytest.mark.parametrize("name", ["scores", "scores.txt", "scores.nc4"])
def test_another_ending_raises(evaluation, tmp_path, name):
    with pytest.raises(BrainalignError, match=r"written as \.nc and \.csv"):
        save_scores(evaluation.scores, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_dotted_name_keeps_its_dots(evaluation, tmp_path):
    written = evaluation.save(tmp_path / "v4.day.1.nc")
    assert [path.name for path in written][:3] == ["v4.day.1.nc", "v4.day.1.csv", "v4.day.1.differences.csv"]


def test_a_full_disk_leaves_the_old_file_whole(evaluation, tmp_path, monkeypatch):
    save_scores(evaluation.scores, tmp_path / "scores.nc")
    before = (tmp_path / "scores.nc").read_bytes()

    def full(_self, path, **_options):
        path.write_bytes(before[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    with pytest.raises(OSError, match="No space left"):
        save_scores(evaluation.scores.isel(cell=[0]), tmp_path / "scores.nc")
    assert (tmp_path / "scores.nc").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.csv", "scores.nc"]


def test_absent_labels_are_empty():
    row = dict.fromkeys(VALUES, 0.5) | dict.fromkeys(COUNTS, 1) | dict.fromkeys(TEXTS, "")
    scores = make_scores([row | {"network": "a"}, row | {"network": "b", "seed": 3}], {})
    assert scores["network"].values.tolist() == ["a", "b"]
    assert scores["task"].values.tolist() == ["", ""]
    assert scores["seed"].values.tolist() == [-1, 3] and scores["seed"].dtype == np.int64
