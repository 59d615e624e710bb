"""`brainalign decode` as a user meets it: tables, files, and bad usage with the way out."""

import re
import sys

import numpy as np
import pandas as pd
import pytest

from brainalign.cli import main
from brainalign.cli.decode import parse_subset
from brainalign.errors import BrainalignError

CARD = """
name = "mine"
title = "Objects at three places"
areas = ["V4", "IT"]
simulated = true

[stimuli]
table = "stimuli.csv"

[regions.V4]
responses = "v4.npy"
dims = ["stimulus", "unit", "repeat"]
subject = "m"

[regions.IT]
rdms = "it.npy"
subjects = ["one", "two", "three"]
"""


@pytest.fixture
def card(tmp_path):
    """A recording of one's own: four objects at three places, told apart by V4; IT is given as matrices."""
    generator = np.random.default_rng(0)
    n = 36
    table = pd.DataFrame(
        {
            "stimulus": [f"s{i:02d}" for i in range(n)],
            "object": np.array(["car", "cup", "dog", "hand"])[np.arange(n) % 4],
            "place": np.array(["left", "middle", "right"])[np.arange(n) % 3],
        }
    )
    table.to_csv(tmp_path / "stimuli.csv", index=False)
    tuning = 3 * generator.normal(size=(4, 10))[np.arange(n) % 4]
    np.save(tmp_path / "v4.npy", tuning[:, :, None] + generator.normal(size=(n, 10, 5)))
    square = generator.gamma(2.0, size=(3, n, n))
    np.save(tmp_path / "it.npy", (square + square.transpose(0, 2, 1)) * ~np.eye(n, dtype=bool))
    (tmp_path / "card.toml").write_text(CARD)
    return str(tmp_path / "card.toml")


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command; give its exit status and what it printed."""
    monkeypatch.setenv("COLUMNS", "160")

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


def test_prints_and_writes_a_table(run, card, tmp_path):
    out = tmp_path / "decoding.csv"
    status, printed, _ = run("decode", card, "--label", "object", "--permutations", "49", "--out", str(out))
    assert status == 0
    assert "SIMULATED · Decoding of object · mine" in printed
    assert "ridge decoder of 4 classes, stimulus held out" in printed and "49 permutations" in printed
    table = pd.read_csv(out).set_index("region")
    assert list(table.index) == ["V4", "IT"]
    assert table.loc["V4", "accuracy"] > 0.9 and table.loc["V4", "p"] == 0.02
    assert table.loc["V4", "chance"] == 0.25 and table.loc["V4", "n_units"] == 10
    assert np.isnan(table.loc["IT", "accuracy"]) and "only dissimilarities" in table.loc["IT", "note"]
    assert f"{table.loc['V4', 'accuracy']:.3f}" in printed


def test_options_reach_the_decoder(run, card, tmp_path):
    out = tmp_path / "decoding.csv"
    words = ("--held-out", "place", "--single-trials", "--decoder", "logistic", "--inverse-penalty", "0.1")
    status, printed, _ = run(
        "decode",
        card,
        "--label",
        "object",
        *words,
        "--permutations",
        "0",
        "--no-standardise",
        "--out",
        str(out),
    )
    assert status == 0 and "logistic decoder of 4 classes, place held out" in printed
    row = pd.read_csv(out).iloc[0]
    assert (row["decoder"], row["held_out"], row["n_patterns"], row["n_stimuli"]) == (
        "logistic",
        "place",
        180,
        36,
    )
    assert np.isnan(row["p"]) and row["accuracy"] > 0.8


def test_a_subset_is_named_in_the_title(run, card):
    status, printed, _ = run(
        "decode", card, "--label", "place", "--subset", "object=car", "--folds", "3", "--permutations", "0"
    )
    assert status == 0 and "Decoding of place · mine · object = car" in printed
    assert re.search(r"V4 +0\.\d+ .* 9 +9 +10", printed)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--label", "objct"), "Did you mean 'object'"),
        (("--label", "object", "--decoder", "svm"), "Unknown decoder 'svm'"),
        (("--label", "object", "--subset", "place"), "write COLUMN=VALUE"),
        (("--label", "object", "--subset", "palce=left"), "Did you mean 'place'"),
        (("--label", "object", "--subset", "place=lft"), "Did you mean 'left'"),
        (("--label", "object", "--held-out", "plase"), "Did you mean 'place'"),
        (("--label", "object", "--out", "table.xlsx"), "must end in .csv"),
        (("--label", "object", "--folds", "1"), "Invalid value for '--folds'"),
        (("--label", "object", "--folds", "10"), "10 folds need 10 of each"),
        ((), "Missing option '--label'"),
    ],
)
def test_bad_usage_exits_with_2_and_says_the_way_out(run, card, words, message):
    status, _, err = run("decode", card, *words, "--permutations", "0")
    assert status == 2
    assert message in re.sub(r"[│╭╮╰╯─ ]+", " ", err)


def test_an_unknown_recording_shows_the_closest(run):
    status, _, err = run("decode", "zhang2012", "--label", "object")
    assert status == 2 and "Did you mean 'zhang2011'" in err


def test_a_column_named_twice_is_refused():
    with pytest.raises(BrainalignError, match="names the column 'a' twice"):
        parse_subset(["a=1", "a=2"])


@pytest.mark.data
def test_positions_of_the_single_units(run, mirror):
    words = ("--label", "object", "--held-out", "position", "--permutations", "0")
    status, printed, _ = run("decode", "zhang2011", *words)
    assert status == 0 and "1.000" in printed and "0.143" in printed
