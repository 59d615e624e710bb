"""Every card under datasets/ against what it declares, the public checksums and, where mirrored, its files."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from brainalign.data.card import Card, CardFile, CardPart, read_card
from brainalign.data.load import load_recording, recording_names
from brainalign.data.recording import Recording
from brainalign.data.stimuli import StimulusSet

DATASETS = Path(__file__).parents[2] / "datasets"
CARDS = {file.parent.name: read_card(file) for file in sorted(DATASETS.glob("*/card.toml"))}
PUBLIC = {name: card for name, card in CARDS.items() if card.files}
RECORDINGS = [(name, part) for name, card in PUBLIC.items() for part in (card.parts or {"": None})]


def _recording_id(value: object) -> str:
    return str(value) or "whole"


@pytest.fixture
def checksums(mirror) -> dict[str, dict[str, str]]:
    """Rows of the mirror's list of checksums, by URL."""
    with (mirror / "SHA256SUMS.tsv").open(newline="") as file:
        return {row["url"]: row for row in csv.DictReader(file, delimiter="\t")}


def _needed(card: Card, part: str) -> list[CardFile]:
    return [file for file in card.files if file.parts is None or part in file.parts]


def test_there_are_cards():
    assert {"cichy2014", "cowley2023", "kriegeskorte2008", "majajhong2015", "zhang2011"} <= set(PUBLIC)


@pytest.mark.parametrize("name", CARDS)
def test_card_stands_in_a_folder_of_its_name(name):
    assert CARDS[name].name == name
    assert CARDS[name].title
    assert name in (DATASETS / name / "README.md").read_text().splitlines()[0]


@pytest.mark.parametrize("name", CARDS)
def test_data_are_public_files_or_called_simulated(name):
    archived = "dandiarchive.org" in str(CARDS[name].url)
    assert bool(CARDS[name].files) + archived + CARDS[name].simulated == 1


@pytest.mark.parametrize("name", PUBLIC)
def test_card_says_what_the_data_are_and_whose(name):
    card = CARDS[name]
    for key in ("title", "species", "method", "licence", "citation", "bibtex"):
        assert getattr(card, key).strip(), f"{key} is empty"
    assert card.areas
    assert card.url is not None


@pytest.mark.parametrize("name", PUBLIC)
def test_bibtex_is_whole_and_fits_the_citation(name):
    card = CARDS[name]
    entries = re.split(r"(?m)^@", card.bibtex.strip())[1:]
    assert entries
    for entry in entries:
        assert entry.count("{") == entry.count("}")
        fields = dict(re.findall(r"(?m)^  (\w+) = \{(.+)\},?$", entry))
        assert {"title", "author", "year", "doi"} <= set(fields)
        assert {"journal", "publisher"} & set(fields)
        assert re.fullmatch(r"10\.\d{4,5}/\S+", fields["doi"])
        surname = fields["author"].split(",")[0]
        assert surname in card.citation
        assert fields["year"] in card.citation
        assert fields["doi"] in (DATASETS / name / "README.md").read_text()


@pytest.mark.parametrize("name", PUBLIC)
def test_readme_carries_the_licence(name):
    licence = CARDS[name].licence.split(" (")[0]
    assert licence in (DATASETS / name / "README.md").read_text()


@pytest.mark.parametrize("name", PUBLIC)
def test_files_are_pinned_to_one_version(name):
    for file in CARDS[name].files:
        if file.url.startswith("https://raw.githubusercontent.com/"):
            owner, repository, commit = file.url.split("/")[3:6]
            assert re.fullmatch(r"[0-9a-f]{40}", commit)
            assert CARDS[name].url == f"https://github.com/{owner}/{repository}"
        assert file.bytes > 0


@pytest.mark.parametrize("name", PUBLIC)
def test_every_part_has_files_and_facts(name):
    for part, facts in CARDS[name].parts.items():
        assert _needed(CARDS[name], part)
        assert facts.description
        assert (facts.n_units and facts.n_stimuli) or (facts.n_subjects and facts.n_rows)


@pytest.mark.data
@pytest.mark.parametrize("name", PUBLIC)
def test_checksums_and_sizes_are_the_public_ones(name, checksums, mirror):
    for file in CARDS[name].files:
        row = checksums[file.url]
        assert (file.sha256, file.bytes) == (row["sha256"], int(row["bytes"]))
        if row["mirrored"] == "yes":
            assert (mirror / file.url.removeprefix("https://")).stat().st_size == file.bytes


@pytest.mark.data
@pytest.mark.parametrize(("name", "part"), RECORDINGS, ids=_recording_id)
def test_recording_is_what_its_card_declares(name, part, checksums):
    card = CARDS[name]
    absent = [file.path for file in _needed(card, part) if checksums[file.url]["mirrored"] != "yes"]
    if absent:
        pytest.skip(f"the mirror lacks {', '.join(absent)}")
    recording = load_recording(card.recording_name(part))
    assert recording.name == card.recording_name(part)
    assert recording.provenance.citation == card.citation
    assert recording.provenance.licence == card.licence
    if card.areas == ["behaviour"]:
        _check_behaviour(recording, card.parts.get(part))
        return
    assert recording.stimuli is not None
    assert recording.stimuli.degrees == card.degrees
    for area in card.areas:
        assert any(area in region for region in recording.regions)
    if part:
        _check_facts(recording, card.parts[part])
    if recording.stimuli.images is not None:
        _check_images(recording.stimuli)


def _check_behaviour(recording: Recording, facts: CardPart | None) -> None:
    assert recording.regions == []
    assert recording.stimuli is None
    table = recording.behaviour
    assert table is not None
    assert {"subject", "correct"} <= set(table) or {"subject", "hand_angle"} <= set(table)
    if facts:
        assert (table["subject"].nunique(), len(table)) == (facts.n_subjects, facts.n_rows)


def _check_facts(recording: Recording, facts: CardPart) -> None:
    assert recording.stimuli is not None
    assert recording.regions == facts.regions
    assert len(recording.stimuli) == facts.n_stimuli
    for region in recording.regions:
        answers = recording[region]
        shown = len(set(answers["stimulus"].values.tolist()))
        assert (shown, answers.sizes["unit"]) == (facts.n_stimuli, facts.n_units)
        assert set(answers["subject"].values) == {facts.subject}
        assert ("repeat" in answers.dims or answers.sizes.get("trial", 0) > shown) == facts.repeats


def _check_images(stimuli: StimulusSet) -> None:
    images = [stimuli.image(stimulus) for stimulus in stimuli.ids]
    assert len({image.size for image in images}) == 1
    assert all(np.ptp(np.asarray(image)) > 30 for image in images), "a blank image"


def test_recording_names_cover_every_part():
    names = [each for name in PUBLIC for each in recording_names(name)]
    assert names == [CARDS[name].recording_name(part) for name, part in RECORDINGS]
