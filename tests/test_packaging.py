import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIST_AND_LOAD = """
import json
import brainalign
from brainalign.data.cards import list_cards
from brainalign.data.load import load_recording
print(json.dumps({
    "place": brainalign.__file__,
    "cards": [card.name for card in list_cards()],
    "folders": [str(card.folder) for card in list_cards()],
    "regions": load_recording("simulated").regions,
}))
"""


def run(command: list[str], **options) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **options)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    run([*build, str(ROOT)])
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_the_code_the_cards_and_the_licence_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    held = {name for name in names if name.startswith("brainalign/") and "__pycache__" not in name}
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "brainalign").rglob("*.py")}
    cards = {
        f"brainalign/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / "datasets").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == code | cards
    assert any(name.endswith("licenses/LICENSE") for name in names)
    others = {name.split("/")[0] for name in names} - {"brainalign"}
    assert len(others) == 1 and others.pop().endswith(".dist-info")
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_installed_outside_the_checkout_it_lists_the_cards_and_loads_one(wheel, tmp_path):
    target, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    run([*pip, "--target", str(target), str(wheel)])
    environment = os.environ | {"PYTHONPATH": str(target)}
    said = run([sys.executable, "-c", LIST_AND_LOAD], cwd=elsewhere, env=environment)
    found = json.loads(said.splitlines()[-1])
    assert Path(found["place"]).is_relative_to(target)
    assert found["cards"] == sorted(path.parent.name for path in (ROOT / "datasets").glob("*/card.toml"))
    assert all(Path(folder).is_relative_to(target / "brainalign" / "datasets") for folder in found["folders"])
    assert found["regions"] == ["simulated_V1", "simulated_IT", "simulated_shuffled"]
