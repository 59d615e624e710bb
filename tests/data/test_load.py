"""Loading by name: prepare.py, parts, provenance, and that files come verified."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

from brainalign.data import cards
from brainalign.data.load import load_recording, recording_names
from brainalign.data.recording import Provenance
from brainalign.errors import CardError, FetchError, UnknownNameError

COUNTS = np.arange(12.0).reshape(4, 3)
PREPARE = '''
"""Make the recording."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brainalign.data import Recording, StimulusSet, make_responses


@dataclass
class Facts:
    part: str


def prepare(files, part, name):
    facts = Facts(part)
    ids = ["a", "b", "c", "d"]
    counts = np.load(files["v4.npy"]) * (2 if facts.part == "day2" else 1)
    responses = {"V4": make_responses(counts, ids, region="V4")}
    return Recording(name, StimulusSet.from_ids(ids), responses)
'''
CARD = """
name = "lab"
title = "A study"
species = "macaque"
areas = ["V4"]
method = "spike counts"
licence = "CC0-1.0"
citation = "Lab (2020)"
bibtex = "@misc{lab}"
url = "https://lab.org"

[[files]]
url = "https://lab.org/data/v4.npy"
sha256 = "SHA256"
bytes = 10
path = "v4.npy"
PARTS
"""
PARTS = "[parts.day1]\n[parts.day2]\n"


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A card in the catalogue, and a mirror that holds its file."""
    file = tmp_path / "mirror" / "lab.org" / "data" / "v4.npy"
    file.parent.mkdir(parents=True)
    np.save(file, COUNTS)
    monkeypatch.setenv("BRAINALIGN_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setattr(cards, "_datasets_folder", lambda: tmp_path / "datasets")
    folder = tmp_path / "datasets" / "lab"
    folder.mkdir(parents=True)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()

    def write(parts: str = PARTS, prepare: str | None = PREPARE) -> Path:
        (folder / "card.toml").write_text(CARD.replace("SHA256", sha256).replace("PARTS", parts))
        if prepare is not None:
            (folder / "prepare.py").write_text(prepare)
        return folder

    return write


def test_part_is_prepared_from_verified_files(lab, cache):
    lab()
    modules = set(sys.modules)
    day1, day2 = load_recording("lab/day1"), load_recording("lab/day2")
    assert day1.name == "lab/day1"
    np.testing.assert_array_equal(day1["V4"].values, COUNTS)
    np.testing.assert_array_equal(day2["V4"].values, 2 * COUNTS)
    assert (cache / "recordings" / "lab" / "v4.npy").is_file()
    assert not {name for name in set(sys.modules) - modules if "prepare" in name}


def test_card_gives_the_provenance(lab):
    lab()
    assert load_recording("lab/day1").provenance == Provenance(
        "macaque", "spike counts", "Lab (2020)", "CC0-1.0"
    )


def test_card_without_parts(lab):
    lab(parts="")
    assert load_recording("lab").name == "lab"
    assert recording_names("lab") == ["lab"]


def test_card_by_path(lab):
    folder = lab()
    names = [f"{folder}/day1", f"{folder}/day2"]
    assert recording_names(folder) == names
    assert [load_recording(name).name for name in names] == ["lab/day1", "lab/day2"]
    card = folder / "card.toml"
    assert [load_recording(name).name for name in recording_names(card)] == ["lab/day1", "lab/day2"]


def test_names_of_the_parts(lab):
    lab()
    assert recording_names("lab") == ["lab/day1", "lab/day2"]
    assert recording_names("lab/day2") == ["lab/day2"]
    with pytest.raises(UnknownNameError, match="Unknown part of lab 'day3'"):
        recording_names("lab/day3")


def test_several_parts_and_none_named(lab):
    lab()
    with pytest.raises(UnknownNameError, match="holds several recordings; name one: lab/day1, lab/day2"):
        load_recording("lab")


def test_unknown_recording():
    with pytest.raises(UnknownNameError, match="Unknown recording 'kriegeskorte2007'. Did you mean"):
        load_recording("kriegeskorte2007")


def test_wrong_checksum_never_reaches_prepare(lab, tmp_path, cache):
    lab(prepare="def prepare(files, part, name):\n    raise AssertionError('prepared')\n")
    np.save(tmp_path / "mirror" / "lab.org" / "data" / "v4.npy", COUNTS + 1)
    with pytest.raises(FetchError, match="kept aside"):
        load_recording("lab/day1")
    assert not (cache / "recordings" / "lab" / "v4.npy").exists()


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (None, r"neither \[regions.NAME\] of its own nor a prepare.py in .*lab"),
        ("x = 1", r"prepare.py defines no function `prepare\(files, part, name\)`"),
        ("prepare = 3", "defines no function"),
        ("def prepare(files, part, name):\n    return 3", "made <class 'int'>; expected a Recording"),
    ],
)
def test_card_that_cannot_be_prepared(prepare, message, lab):
    lab(prepare=prepare)
    with pytest.raises(CardError, match=message):
        load_recording("lab/day1")


def test_simulated_card_needs_no_files(lab):
    folder = lab()
    (folder / "card.toml").write_text('name = "lab"\nsimulated = true\n')
    (folder / "prepare.py").write_text(PREPARE.replace('np.load(files["v4.npy"])', "np.ones((4, 3))"))
    recording = load_recording("lab")
    assert recording.provenance.simulated
    assert recording["V4"].values.tolist() == np.ones((4, 3)).tolist()


def test_prepare_beside_a_card_of_own_regions_is_not_run(tmp_path):
    (tmp_path / "prepare.py").write_text("raise AssertionError('run')")
    np.save(tmp_path / "v4.npy", COUNTS)
    (tmp_path / "order.csv").write_text("stimulus\na\nb\nc\nd\n")
    card = tmp_path / "card.toml"
    card.write_text('name = "own"\n[regions.V4]\nresponses = "v4.npy"\nstimuli = "order.csv"')
    assert load_recording(card)["V4"].shape == (4, 3)


@pytest.mark.data
def test_real_recording_from_the_mirror(mirror, cache):
    recording = load_recording("cichy2014")
    assert recording.rdms["IT"].shape == (15, 92, 92)
    (image,) = {recording.stimuli.image(stimulus).mode for stimulus in recording.stimuli.ids}
    assert image == "RGB"
    assert not list((cache / "recordings").rglob("*.bad-checksum"))
