"""The README does what it says."""

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_first_two_blocks_are_the_two_set_up_commands():
    assert [block.strip() for block in _blocks("sh")[:2]] == [
        "pip install -e . && brainalign quickstart",
        'pip install -e ".[test]" && pytest -q',
    ]


def test_the_python_example_runs_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for block in _blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "profile.pdf").stat().st_size > 1000
    assert "simulated_IT" in capsys.readouterr().out


def test_every_file_that_it_links_is_there():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert all((Path(__file__).parents[1] / link).exists() for link in links)
