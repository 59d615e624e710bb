"""The worked example of docs/bring_your_own.md, run as it stands."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import brainalign.cli

PAGE = Path(__file__).parents[2] / "docs" / "bring_your_own.md"


def blocks(language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```"
    return re.findall(pattern, PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run_python(stop_before: str = "\0") -> dict:
    names: dict = {}
    for block in blocks("python"):
        if stop_before in block:
            break
        exec(compile(block, str(PAGE), "exec"), names)
    return names


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """The page's paths are relative."""
    monkeypatch.chdir(tmp_path)


def test_example_loads():
    recording = run_python(stop_before="ba.score")["recording"]
    assert recording["V4"].sizes == {"stimulus": 24, "unit": 20, "repeat": 4}
    assert recording["IT"].shape == (3, 24, 24)
    assert recording.stimuli.degrees == 8.0
    assert recording.provenance.simulated


def test_example_scores():
    scores = run_python()["scores"]
    assert set(scores["region"].values) == {"V4", "IT"}
    assert scores.attrs["simulated"]


@pytest.mark.slow
def test_example_scores_on_the_command_line():
    run_python(stop_before="ba.score")
    (line,) = blocks("bash")
    program, *arguments = shlex.split(line)
    assert program == "brainalign"
    result = CliRunner().invoke(brainalign.cli.app, arguments)
    assert result.exit_code == 0, result.exception or result.output
    assert "SIMULATED" in result.output
