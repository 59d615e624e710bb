"""The commands as a user meets them: exit status, messages, tables, files."""

import json
import re
import sys

import numpy as np
import pandas as pd
import pytest

from brainalign import load_scores
from brainalign.cli import main
from brainalign.cli.quickstart import known_answers
from brainalign.cli.score import parse_memory
from brainalign.errors import BrainalignError


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command; give its exit status and what it printed."""
    monkeypatch.setenv("COLUMNS", "200")

    def _run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["brainalign", *words])
        status = 0
        try:
            main()
        except SystemExit as stopped:
            status = stopped.code if isinstance(stopped.code, int) else 1
        printed = capsys.readouterr()
        return status, printed.out, re.sub(r"\s+", " ", printed.err)

    return _run


@pytest.mark.parametrize("kind", ["recordings", "networks", "metrics"])
def test_list_prints_objects_with_names_as_json(run, kind):
    status, out, _ = run("list", kind, "--json")
    things = json.loads(out)
    assert status == 0
    assert len(things) >= 5
    assert all(thing["name"] for thing in things)


def test_list_prints_tables(run):
    status, out, _ = run("list")
    assert status == 0
    assert all(name in out for name in ("cowley2023", "efficientnet-lite0", "ridge_fixed"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("list", "metrcs"), "Did you mean 'metrics'"),
        (("fetch", "cowley2032"), "Did you mean 'cowley2023'"),
        (("fetch", "cowley2023/21032"), "Did you mean '210325'"),
        (("score", "convnt", "--on", "simulated"), "Did you mean 'convnet'"),
        (("score", "convnet", "--on", "simulatd"), "Did you mean 'simulated'"),
        (("score", "convnet", "--on", "simulated", "--metric", "rigde"), "Did you mean 'ridge'"),
        (("score", "convnet", "--on", "simulated", "--metric", "rsa:rmd=cosine"), "Did you mean 'rdm'"),
        (("score", "convnet", "--on", "simulated", "--metric", "pls:n_components=x"), "whole number"),
        (("score", "convnet", "--on", "simulated", "--layers", "block.*"), "Did you mean 'blocks"),
        (("score", "convnet", "--on", "simulated", "--reduction", "pol:7"), "Did you mean 'pool:7'"),
        (("score", "convnet", "--on", "simulated", "--memory", "much"), "4GB"),
        (("score", "convnet", "--on", "simulated", "--out", "scores.xlsx"), ".nc, .csv"),
        (("score", "convnet", "--on", "simulated", "--figure", "profile.gif"), ".pdf"),
        (("score", "convnet"), "Missing option '--on'"),
        (("scor", "convnet"), "No such command"),
    ],
)
def test_bad_usage_exits_with_2_and_says_the_way_out(run, words, message):
    status, _, err = run(*words)
    assert status == 2
    assert message in err


def test_a_recording_without_images_is_an_error_with_the_way_out(run, mirror):
    status, _, err = run("score", "convnet", "--on", "zhang2011", "--no-controls")
    assert status == 2
    assert "without images" in err
    assert "card of your own" in err


def test_score_prints_and_writes_tables_and_figure(run, tmp_path):
    out, figure = tmp_path / "scores.nc", tmp_path / "profile.pdf"
    words = ("--metric", "ridge", "--metric", "rsa", "--resamples", "100")
    status, printed, _ = run(
        "score", "convnet@untrained:7", "--on", "simulated", *words, "--out", str(out), "--figure", str(figure)
    )
    assert status == 0
    assert "SIMULATED · simulated · simulated_V1 · ridge" in printed
    assert "Paired differences" in printed
    assert {path.name for path in tmp_path.iterdir()} == {
        "scores.nc",
        "scores.csv",
        "scores.differences.csv",
        "scores.details.csv",
        "profile.pdf",
        "profile.png",
    }
    scores = load_scores(out)
    assert scores.attrs["simulated"] == 1
    table = pd.read_csv(tmp_path / "scores.csv")
    assert set(table["network"]) == {"convnet@untrained", "pixels", "gabor"}
    assert set(table.loc[table["network"] == "convnet@untrained", "seed"]) == {0, 1, 2, 7}
    np.testing.assert_array_equal(table["raw"], scores["raw"])


def test_controls_can_be_left_out(run, tmp_path):
    out = tmp_path / "scores.csv"
    words = ("--no-controls", "--metric", "ridge", "--resamples", "100", "--layers", "blocks.3")
    status, _, _ = run("score", "convnet", "--on", "simulated", *words, "--out", str(out))
    assert status == 0
    assert set(pd.read_csv(out)["layer"]) == {"blocks.3", "committed"}


def test_quickstart_finds_the_known_answers(run, tmp_path):
    status, printed, _ = run("quickstart", "--out", str(tmp_path / "quick"))
    assert status == 0
    assert printed.count("\nfound: ") == 4
    assert "NOT FOUND" not in printed
    assert "SIMULATED" in printed


def test_quickstart_would_notice_a_wrong_answer(run, tmp_path):
    run("quickstart", "--out", str(tmp_path))
    scores = load_scores(tmp_path / "scores.nc")
    assert all(known_answers(scores).values())
    scores["raw"] = -scores["raw"]
    scores["low"] = abs(scores["low"])
    assert not any(known_answers(scores).values())


@pytest.mark.data
def test_fetch_verifies_and_says_how_to_cite(run, mirror):
    status, printed, _ = run("fetch", "cowley2023/210325")
    assert status == 0
    assert "(640, 50, 10)" in printed
    assert "Cowley" in printed
    assert "GPL-3" in printed


def test_fetch_without_network_access_or_mirror_fails_with_1(run, monkeypatch):
    monkeypatch.delenv("BRAINALIGN_MIRROR", raising=False)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    status, _, err = run("fetch", "majajhong2015")
    assert status == 1
    assert "BRAINALIGN_MIRROR" in err


@pytest.mark.parametrize(("text", "size"), [("4GB", 4_000_000_000), ("500 mb", 500_000_000), ("12", 12)])
def test_parse_memory(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0"])
def test_parse_memory_refuses_what_is_no_size(text):
    with pytest.raises(BrainalignError, match="is no size"):
        parse_memory(text)
