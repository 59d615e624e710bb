"""`brainalign train`, and `brainalign score` on the folder that it leaves."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import brainalign as ba
from brainalign.cli import app, main
from brainalign.errors import BrainalignError
from brainalign.rules import RULES

QUICK = ("--steps", "20", "--checkpoints", "4", "--evaluate-on", "100")
OF_IMAGES = [name for name, kind in RULES.items() if not kind.of_time]


def call(*arguments: object):
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


@pytest.mark.parametrize("rule", [name for name, kind in RULES.items() if kind.of_time])
def test_every_rule_of_recurrent_networks_trains_one_to_move(rule, tmp_path):
    task = "center_out:body=velocity,batch_size=4,n_targets=4,movement=0.1"
    trained = call(
        "train", "rnn:units=16", "--task", task, "--rule", rule, "--steps", "3", "--out", tmp_path / "run"
    )
    assert trained.exit_code == 0, trained.output
    table = pd.read_csv(tmp_path / "run/training.csv")
    assert np.isfinite(table["endpoint_error"]).all()
    assert table["loss"].iloc[0] != table["loss"].iloc[-1]


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    """A run of each rule on the digits, trained when it is first asked for."""
    folder = tmp_path_factory.mktemp("digits")

    def run(rule):
        out = folder / rule
        if not out.exists():
            trained = call(
                "train", "mlp", "--task", "classification:digits", "--rule", rule, *QUICK, "--out", out
            )
            assert trained.exit_code == 0, trained.output
            assert f"wrote {out}" in trained.output.replace("\n", "")
        return out

    return run


@pytest.mark.parametrize("rule", OF_IMAGES)
def test_every_rule_trains_on_the_digits(rule, digits_run):
    table = pd.read_csv(digits_run(rule) / "training.csv")
    assert table["step"].iloc[-1] == 20
    assert np.isfinite(table.select_dtypes("number").iloc[-1].dropna()).all()


def test_runs_of_all_rules_score_in_one_table(digits_run, tmp_path):
    runs, table = [f"{digits_run(rule)}@last" for rule in OF_IMAGES], tmp_path / "scores.csv"
    options = ("--on", "simulated", "--metric", "cka", "--resamples", 100, "--no-controls", "--out", table)
    scored = call("score", *runs, *options)
    assert scored.exit_code == 0, scored.output
    found = pd.read_csv(table, keep_default_na=False)
    assert set(found["rule"]) == set(OF_IMAGES)
    assert set(found["task"]) == {"classification:digits"}
    assert set(found["network"]) == {"mlp"}
    assert set(found["checkpoint"]) == {20}
    assert set(found["seed"]) == {0}
    for _, of_rule in found.groupby("rule"):
        assert set(of_rule["layer"]) == {"blocks.0", "blocks.1", "head", "committed"}


def test_a_runs_folder_is_scored_over_all_its_checkpoints_beside_its_untrained_self(tmp_path):
    run = ba.train("mlp:hidden=20", steps=20, checkpoints=4, evaluate_on=100, out=tmp_path / "run")
    table = tmp_path / "scores.csv"
    result = call("score", run.path, "--on", "simulated", "--metric", "rsa", "--resamples", 100, "--out", table)
    assert result.exit_code == 0, result.output
    found = pd.read_csv(table, keep_default_na=False)
    of_run = found[found["rule"] == "backprop"]
    assert sorted(set(of_run["checkpoint"])) == [0, 1, 4, 20]
    assert {"pixels", "gabor", "mlp:hidden=20@untrained"} <= set(found["network"])
    shown = [line.split()[1] for line in result.output.splitlines() if line.startswith(" mlp:hidden=20:0 ")]
    assert {"0", "1", "4", "20"} <= set(shown)
    one = of_run[of_run["layer"] == "head"]
    zero = one[one["checkpoint"] == 0]["raw"].tolist()
    untrained = found[(found["rule"] == "untrained") & (found["layer"] == "head") & (found["seed"] == 0)]
    assert untrained["raw"].tolist() == zero
    differences = pd.read_csv(tmp_path / "scores.differences.csv")
    assert "mlp:hidden=20 · classification:digits · backprop" in set(differences["network"])


def test_two_runs_that_the_table_could_not_tell_apart_are_refused(tmp_path):
    options = {"steps": 5, "checkpoints": 2, "evaluate_on": 50, "progress": False}
    runs = [ba.train("mlp:hidden=20", lr=lr, out=tmp_path / f"{lr}", **options) for lr in (0.1, 1e-4)]
    for controls in ("--controls", "--no-controls"):
        with pytest.raises(BrainalignError, match="could not tell them apart"):
            call("score", *(run.path for run in runs), "--on", "simulated", "--metric", "rsa", controls)


def test_networks_of_one_name_for_two_tasks_have_untrained_controls_each(tmp_path):
    options = {"steps": 2, "checkpoints": 2, "evaluate_on": 50, "progress": False}
    tasks = ("classification:digits", "next_frame:digits,size=16")
    runs = [ba.train("mlp:hidden=20", task, out=tmp_path / task[:4], **options) for task in tasks]
    table = tmp_path / "scores.csv"
    call(
        "score",
        *(run.path for run in runs),
        "--on",
        "simulated",
        "--metric",
        "rsa",
        "--resamples",
        100,
        "--out",
        table,
    )
    found = pd.read_csv(table, keep_default_na=False)
    untrained = found[(found["rule"] == "untrained") & (found["layer"] == "head")]
    assert sorted(untrained.groupby("task")["seed"].agg(set).items()) == [(task, {0, 1, 2}) for task in tasks]


def test_a_training_that_diverges_is_a_fault_and_no_bad_usage(tmp_path, monkeypatch, capsys):
    arguments = [
        "brainalign",
        "train",
        "mlp",
        "--optimizer",
        "sgd",
        "--lr",
        "1e30",
        "--out",
        str(tmp_path / "run"),
    ]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    monkeypatch.setattr(
        "sys.argv", [*arguments[:3], "--layer-cost", "[/a]=sparsity", "--out", str(tmp_path / "b")]
    )
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "Unknown layer '[/a]'" in capsys.readouterr().err


def test_python_scores_a_run_and_a_checkpoint_alike(tmp_path):
    run = ba.train("mlp:hidden=20", steps=20, checkpoints=4, evaluate_on=100, out=tmp_path / "run")
    options = {"metrics": "rsa", "n_resamples": 100, "cache": False}
    of_run = ba.score(run, "simulated", **options).to_dataframe()
    of_last = ba.score(run.checkpoints("last"), "simulated", **options).to_dataframe()
    last = of_run[of_run["checkpoint"] == 20].reset_index(drop=True)
    pd.testing.assert_frame_equal(last, of_last.reset_index(drop=True))


def test_a_checkpoint_that_is_not_there(tmp_path):
    run = ba.train("mlp:hidden=20", steps=20, checkpoints=4, evaluate_on=100, out=tmp_path / "run")
    with pytest.raises(BrainalignError, match="has no checkpoint '7'; there are: 0, 1, 4, 20, or last"):
        call("score", f"{run.path}@7", "--on", "simulated")


def test_a_search_shows_each_rate_and_trains_at_the_best(tmp_path):
    result = call("train", "mlp:hidden=10", *QUICK, "--lr", "search", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "lowest loss on validation images" in result.output
    run = ba.Run.open(tmp_path / "run")
    assert f"{run.settings.lr:g}" in {path.name for path in (tmp_path / "search").iterdir()}


def test_a_rate_that_is_no_number(tmp_path):
    with pytest.raises(BrainalignError, match="'fast' is neither a number nor 'search'"):
        call("train", "mlp", "--lr", "fast", "--out", tmp_path / "run")


@pytest.mark.parametrize("kind", ["tasks", "rules"])
def test_what_can_be_named_is_listed(kind):
    listed = json.loads(call("list", kind, "--json").output)
    names = {entry["name"].partition(":")[0] for entry in listed}
    assert names >= ({"classification", "rotation"} if kind == "tasks" else set(RULES))
    assert all(entry["source"] for entry in listed)


def test_a_folder_that_holds_no_run_is_told(tmp_path):
    with pytest.raises(BrainalignError, match="no folder of a trained run"):
        call("score", tmp_path / "gone", "--on", "simulated")
