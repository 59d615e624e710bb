"""`brainalign stages` on what training and experiments leave behind."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from brainalign.cli import main

MISSING = ("recording", "subject", "network", "metric", "task")
STEPS = 2.0 ** np.arange(26) - 1


@pytest.fixture
def folder(tmp_path):
    """A folder with a training table of five seeds: accuracy has a stage, the loss is a line."""
    generator, rows = np.random.default_rng(0), []
    for seed in range(5):
        accuracy = 1 / (1 + np.exp(-(np.arange(26) - 13))) + 0.01 * generator.normal(size=26)
        loss = 2 - np.arange(26) / 26 + 0.01 * generator.normal(size=26)
        rows.append(
            pd.DataFrame({"rule": "backprop", "seed": seed, "step": STEPS, "loss": loss, "accuracy": accuracy})
        )
    pd.concat(rows).to_csv(tmp_path / "training.csv", index=False)
    return tmp_path


def call(monkeypatch, capsys, *words):
    """Run the command; give its exit code and what it wrote."""
    monkeypatch.setattr("sys.argv", ["brainalign", "stages", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        main()
    written = capsys.readouterr()
    return stopped.value.code, " ".join((written.out + written.err).split())


def test_a_folder_gets_a_table_and_files(folder, monkeypatch, capsys):
    out, figure = folder / "stages.csv", folder / "stages.pdf"
    code, words = call(monkeypatch, capsys, folder, "--out", out, "--figure", figure)
    assert code == 0 and "line in log steps explains the curve as well" in words
    table = pd.read_csv(out).set_index("quantity")
    assert table["verdict"].to_dict() == {"loss": "no stage", "accuracy": "stages"}
    assert (
        table.loc["accuracy", "onset_low"] < table.loc["accuracy", "onset"] < table.loc["accuracy", "half_time"]
    )
    assert figure.stat().st_size and figure.with_suffix(".png").stat().st_size


def test_curves_can_be_chosen_and_kept_as_netcdf(folder, monkeypatch, capsys):
    out = folder / "stages.nc"
    code, words = call(monkeypatch, capsys, folder / "training.csv", "--only", "quantity=acc*", "--out", out)
    assert code == 0 and "95 % t-interval over 5 seeds" in words
    with xr.open_dataset(out, engine="h5netcdf") as found:
        assert found.sizes["curve"] == 1 and found["quantity"].item() == "accuracy"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "There is nothing at"),
        (["."], "neither a training.csv nor scores"),
        (["training.csv", "--only", "region"], "is not LABEL=GLOB"),
        (["training.csv", "--only", "quantity=angle"], "No curve has quantity=angle; there are accuracy, loss"),
        (["training.csv", "--out", "stages.txt"], "let the name end in .csv or .nc"),
    ],
)
def test_bad_usage_says_what_to_do(folder, monkeypatch, capsys, words, message):
    if words == ["."]:
        (folder / "training.csv").unlink()
    monkeypatch.chdir(folder)
    code, said = call(monkeypatch, capsys, *words)
    assert code == 2 and message in said


def test_scores_in_csv_are_read_as_scores(folder, monkeypatch, capsys):
    table = pd.read_csv(folder / "training.csv").rename(columns={"step": "checkpoint", "accuracy": "raw"})
    table.assign(score=np.nan, region="V4", layer="head", **dict.fromkeys(MISSING, "")).to_csv(
        folder / "scores.csv"
    )
    (folder / "training.csv").unlink()
    code, words = call(monkeypatch, capsys, folder, "--out", folder / "stages.csv")
    found = pd.read_csv(folder / "stages.csv")
    assert code == 0 and found["region"].tolist() == ["V4"] and found["verdict"].tolist() == ["stages"]


def test_a_short_run_is_not_testable(folder, monkeypatch, capsys):
    table = pd.read_csv(folder / "training.csv").query("step < 500")
    table.to_csv(folder / "training.csv", index=False)
    code, words = call(monkeypatch, capsys, folder)
    assert code == 0 and "not testable: 2 of 2 curves loss: 9 checkpoints" in words
