"""CONTRIBUTING's example of a learning rule: one file and one row, and all else works."""

import importlib.util
import re
import textwrap
from pathlib import Path

import pandas as pd
from typer.testing import CliRunner

from brainalign.cli import app
from brainalign.rules import RULES, LearningRule

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text()


def test_the_rule_that_contributing_shows_trains_goes_on_and_scores(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", TEXT, re.S)[1]
    row = re.search(r"`\"(\w+)\": (\w+)`", TEXT)
    file = tmp_path / f"{row[1]}.py"
    file.write_text(textwrap.dedent(code))
    spec = importlib.util.spec_from_file_location(row[1], file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kind = getattr(module, row[2])
    assert issubclass(kind, LearningRule)
    monkeypatch.setitem(RULES, row[1], kind)

    def call(*arguments):
        result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert row[1] in call("list", "rules", "--json")
    run = tmp_path / "run"
    train = ("train", "mlp:hidden=20", "--rule", row[1], "--steps", 60, "--checkpoints", 4, "--out", run)
    call(*train)
    table = pd.read_csv(run / "training.csv")
    assert table["accuracy"].iloc[-1] > 0.5 > table["accuracy"].iloc[0]
    assert 0 < table["angle"].iloc[-1] < 90
    scores = tmp_path / "scores.csv"
    call(
        "score",
        f"{run}@last",
        "--on",
        "simulated",
        "--metric",
        "rsa",
        "--resamples",
        100,
        "--no-controls",
        "--out",
        scores,
    )
    assert set(pd.read_csv(scores)["rule"]) == {row[1]}
