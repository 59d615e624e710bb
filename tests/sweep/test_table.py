"""Tables of made-up results: sorted, rounded, the same bytes each time, and with a row for what failed."""

import pandas as pd
import pytest

from brainalign import load_scores
from brainalign.errors import FetchError
from brainalign.sweep.cells import COLUMNS, empty_row
from brainalign.sweep.plan import make_plan
from brainalign.sweep.reading import parse_experiment
from brainalign.sweep.run import fetch_recordings
from brainalign.sweep.search import choose_rates
from brainalign.sweep.store import Store
from brainalign.sweep.table import Tables

TEXT = """name = "made up"
networks = ["mlp:hidden=20"]
tasks = ["classification:digits"]
rules = ["feedback_alignment", "backprop"]
steps = 10
checkpoints = 3
recordings = ["simulated"]
metrics = ["rsa"]
"""


@pytest.fixture
def experiment():
    return parse_experiment(TEXT, "made_up.toml")


def fill(store: Store, plan, leave_out: str = "") -> None:
    for cell in reversed(plan.scores):
        rows = [empty_row(cell, "") | {"layer": layer, "raw": 1 / 3, "metric": "rsa"} for layer in ("z", "a")]
        if cell.key != leave_out:
            listed = [[row[name] for name in COLUMNS] for row in rows]
            store.write(cell.key, {"columns": list(COLUMNS), "rows": listed, "stimuli": "hash"})
    for cell in plan.runs:
        store.write(cell.key, {"columns": ["step", "loss"], "rows": [[0, 2.0], [10, 1 / 3]]})


def tables(experiment, folder, failures=None) -> Tables:
    return Tables(experiment, make_plan(experiment), Store(folder), failures or {}, pd.DataFrame())


def test_tables_are_sorted_rounded_and_the_same_each_time(experiment, tmp_path):
    for name in ("one", "two"):
        made = tables(experiment, tmp_path / name)
        fill(made.store, made.plan)
        assert made.write(made.store.scan()[0])
        assert not made.write(made.store.scan()[0])
    for name in ("scores.csv", "scores.nc", "training.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    scores = pd.read_csv(tmp_path / "one" / "scores.csv", dtype={"raw": str})
    assert set(scores["raw"]) == {"0.333333"}
    trained = scores[scores["task"] == "classification:digits"]
    assert trained["rule"].tolist() == ["backprop"] * 6 + ["feedback_alignment"] * 6
    assert trained["checkpoint"].tolist() == [0, 0, 1, 1, 10, 10] * 2
    assert scores["layer"].tolist() == ["z", "a"] * 8
    stored = load_scores(tmp_path / "one" / "scores.nc")
    assert float(stored["raw"][0]) == 1 / 3
    assert stored.attrs["simulated"] == 1


def test_what_a_recording_says_of_itself_stands_in_the_table_once(experiment, tmp_path):
    made = tables(experiment, tmp_path)
    for cell in made.plan.scores:
        own = {"network": "recording", "task": "", "rule": "", "seed": -1, "checkpoint": -1}
        rows = [empty_row(cell, "") | {"layer": "M1", "raw": 0.9, "metric": "jpca"} | own]
        rows.append(empty_row(cell, "") | {"layer": "units", "raw": 0.5, "metric": "jpca"})
        listed = [[row[name] for name in COLUMNS] for row in rows]
        made.store.write(cell.key, {"columns": list(COLUMNS), "rows": listed, "stimuli": "hash"})
    table = made.scores().to_dataframe()
    assert table["network"].value_counts()["recording"] == 1
    assert len(table) == 1 + len(made.plan.scores)


def test_tables_that_were_changed_are_written_again(experiment, tmp_path):
    made = tables(experiment, tmp_path)
    fill(made.store, made.plan)
    made.write(made.store.scan()[0])
    whole = (tmp_path / "scores.csv").read_bytes()
    (tmp_path / "scores.csv").write_bytes(whole[:100])
    assert made.write(made.store.scan()[0])
    assert (tmp_path / "scores.csv").read_bytes() == whole


def test_a_cell_that_failed_has_a_row_that_says_so(experiment, tmp_path):
    key = make_plan(experiment).scores[1].key
    made = tables(experiment, tmp_path, {key: "ValueError: no luck"})
    fill(made.store, made.plan, leave_out=key)
    made.write(made.store.scan()[0])
    scores = pd.read_csv(tmp_path / "scores.csv")
    failed = scores[scores["note"].fillna("").str.startswith("failed")]
    assert failed["note"].tolist() == ["failed: ValueError: no luck"]
    assert failed[["rule", "checkpoint"]].to_numpy().tolist() == [["feedback_alignment", 1]]
    assert failed["raw"].isna().all()
    assert len(scores) == 15


def test_the_rate_with_the_lowest_mean_loss_is_chosen(tmp_path):
    text = TEXT + "[search]\nrates = [0.3, 0.1, 0.03]\nsteps = 5\nvalidation = 100\nseeds = [0, 1]\n"
    experiment = parse_experiment(text, "made_up.toml")
    plan, store = make_plan(experiment), Store(tmp_path)
    losses = {
        "backprop": {0.3: 2.0, 0.1: 1.0, 0.03: 3.0},
        "feedback_alignment": {0.3: 0.5, 0.1: 1.0, 0.03: 2.0},
    }
    for cell in plan.search:
        loss = losses[cell.rule][cell.lr]
        if cell.lr == 0.3 and cell.seed == 1 and cell.rule == "backprop":
            loss = float("nan")
        store.write(cell.key, {"columns": ["step", "loss"], "rows": [[0, 9.0], [5, loss]]})
    rates, table = choose_rates(experiment, plan, store)
    combination = ("mlp:hidden=20", "classification:digits")
    assert rates == {(*combination, "backprop"): 0.1, (*combination, "feedback_alignment"): 0.3}
    notes = table.set_index(["rule", "lr"])["note"]
    assert notes["backprop", 0.1] == ""
    assert "highest" in notes["feedback_alignment", 0.3]


def test_a_recording_that_cannot_be_had_stops_before_anything_runs(monkeypatch):
    monkeypatch.delenv("BRAINALIGN_MIRROR", raising=False)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    experiment = parse_experiment(TEXT.replace('["simulated"]', '["cowley2023/210325"]'), "made_up.toml")
    with pytest.raises(FetchError, match="nothing was run"):
        fetch_recordings(experiment)
