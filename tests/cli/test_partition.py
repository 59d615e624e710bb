"""The command that parts variance: its table, its file, and what it refuses."""

import pandas as pd
import pytest
import typer

from brainalign.cli.partition import parse_groups, partition
from brainalign.errors import BrainalignError

NETWORK = "convnet@untrained:7"
SIMULATED = ("--on", "simulated", "--region", "simulated_IT", "--resamples", "100", "--mixtures", "0")


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command; give what it printed."""
    monkeypatch.setenv("COLUMNS", "200")
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(partition)

    def _run(*words: str) -> str:
        app(words, standalone_mode=False)
        return capsys.readouterr().out

    return _run


def test_the_layer_that_a_simulated_region_reads_out_explains_beyond_the_others(run, tmp_path):
    path = tmp_path / "new" / "parts.csv"
    printed = run(NETWORK, *SIMULATED, "--groups", "early=blocks.0,late=blocks.3", "--out", str(path))
    table = pd.read_csv(path)
    assert (table["note"] == "SIMULATED").all()
    assert (table["region"] == "simulated_IT").all() and (table["network"] == NETWORK).all()
    found = table.set_index(["share", "groups"])
    assert found.loc[("unique", "late"), "low"] > 0.1
    for other in ("early", "pixels"):
        assert found.loc[("unique", other), "low"] < 0.01
        assert found.loc[("unique", other), "value"] == pytest.approx(0.0, abs=0.02)
    assert "SIMULATED · simulated · simulated_IT" in printed
    for words in ("early + late + pixels", "explainable variance", "48 recorded units", "late: blocks.3"):
        assert words in printed
    assert f"{found.loc[('unique', 'late'), 'value']:.3f}" in printed
    assert "wrote" in printed


def test_globs_and_names_that_come_again_make_groups_of_several_layers(run):
    words = ("--groups", "one=blocks.0,one=blocks.1", "--groups", "two=blocks.[23]", "--no-pixels")
    printed = run(NETWORK, *SIMULATED, *words)
    assert "one: blocks.0, blocks.1; two: blocks.2, blocks.3" in " ".join(printed.split())
    assert "pixels" not in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((NETWORK, *SIMULATED, "--groups", "early"), "write for example early=blocks.0"),
        ((NETWORK, *SIMULATED, "--groups", "a=blocks.0,"), "is not NAME=LAYER"),
        ((NETWORK, *SIMULATED, "--groups", "pixels=blocks.0"), "--no-pixels"),
        ((NETWORK, *SIMULATED, "--groups", "a=blocks.0", "--out", "parts.nc"), "must end in .csv"),
        ((NETWORK, *SIMULATED, "--groups", "a=block.0"), "Did you mean 'blocks.0'"),
        ((NETWORK, *SIMULATED, "--groups", "a=*,b=*,c=*,d=*"), "one to 4 groups"),
        ((NETWORK, "--on", "simulated", "--groups", "a=blocks.0"), "name one of simulated_V1"),
        ((NETWORK, "--on", "simulatd", "--groups", "a=blocks.0"), "Did you mean 'simulated'"),
        ((NETWORK, *SIMULATED, "--region", "simulated_V2", "--groups", "a=blocks.0"), "Did you mean"),
    ],
)
def test_bad_usage_says_the_way_out(run, words, message):
    with pytest.raises(BrainalignError, match=message):
        run(*words)


def test_a_recording_without_images_is_refused(run, mirror):
    with pytest.raises(BrainalignError, match="without images"):
        run(NETWORK, "--on", "zhang2011", "--groups", "a=blocks.0")


@pytest.mark.parametrize("text", ["=blocks.0", "early=", "early"])
def test_half_a_group_is_none(text):
    with pytest.raises(BrainalignError, match="is not NAME=LAYER"):
        parse_groups([text])
