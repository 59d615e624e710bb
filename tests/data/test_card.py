"""Cards: what one may say, and what each mistake is answered with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from brainalign.data.card import Card, read_card
from brainalign.data.card_fields import FilePath
from brainalign.data.recording import Provenance
from brainalign.errors import CardError

PUBLIC = """
name = "lab2020"
title = "A study"
species = "macaque"
areas = ["V4", "IT"]
method = "spike counts"
licence = "CC0-1.0"
citation = "Lab (2020)"
bibtex = "@misc{lab}"
url = "https://lab.org"
degrees = 8

[[files]]
url = "https://lab.org/v4.npy"
sha256 = "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"
bytes = 10
path = "day1/v4.npy"
parts = ["day1"]

[parts.day1]
description = "the first"
n_units = 50
repeats = true
"""
OWN = """
name = "own"
[stimuli]
images = "images"
[regions.V4]
responses = "v4.npy"
dims = ["unit", "stimulus", "repeat"]
[regions.IT]
rdms = ["s1.csv", "s2.csv"]
subjects = ["s1", "s2"]
[regions.EVC]
rdms = "evc.nc"
"""


@pytest.fixture
def read(tmp_path):
    """Write a card and read it back."""

    def write_and_read(text: str | bytes) -> Card:
        path = tmp_path / "card.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_card(path)

    return write_and_read


def test_public_card(read, tmp_path):
    card = read(PUBLIC)
    assert card.folder == tmp_path
    assert card.degrees == 8.0
    assert card.files[0].sha256 == "0123456789abcdef" * 4
    assert card.files[0].parts == ["day1"]
    assert card.parts["day1"].n_units == 50
    assert card.provenance == Provenance("macaque", "spike counts", "Lab (2020)", "CC0-1.0", False)
    assert card.recording_name("day1") == "lab2020/day1"
    assert card.recording_name("") == "lab2020"


def test_own_card(read):
    card = read(OWN)
    assert list(card.regions) == ["V4", "IT", "EVC"]
    assert card.regions["IT"].rdms == ["s1.csv", "s2.csv"]
    assert card.regions["EVC"].rdms == ["evc.nc"]
    assert card.stimuli is not None
    assert card.stimuli.images == "images"


def test_byte_order_mark_is_no_part_of_a_card(read):
    assert read(b"\xef\xbb\xbf" + b'name = "own"').name == "own"


def test_cards_cannot_be_changed(read):
    with pytest.raises(ValidationError, match="frozen"):
        read(OWN).name = "other"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PUBLIC.replace("species", "speceis"), r"Unknown key 'speceis'. Did you mean 'species'\?"),
        (PUBLIC.replace("sha256", "sha265"), r"of \[files.0\] 'sha265'. Did you mean 'sha256'\?"),
        (PUBLIC.replace("n_units", "units"), r"of \[parts.day1\] 'units'. Did you mean 'n_units'\?"),
        (OWN.replace("images =", "image ="), r"of \[stimuli\] 'image'. Did you mean 'images'\?"),
        (OWN.replace("dims", "dim"), r"of \[regions.V4\] 'dim'. Did you mean 'dims'\?"),
        (OWN + '\n_folder = "/"', "Unknown key"),
        (OWN + '\n[folder]\nx = "/"', "Unknown key 'folder'"),
    ],
)
def test_unknown_key_names_the_closest(text, message, read):
    with pytest.raises(CardError, match=message):
        read(text)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../v4.npy", "leads out of the folder"),
        ("data/../../v4.npy", "leads out of the folder"),
        ("/etc/v4.npy", "leads out of the folder"),
        ("C:/v4.npy", "leads out of the folder"),
        (r"..\\v4.npy", "leads out of the folder"),
        (r"v4\u0000.npy", "is no path"),
        ("", "names a folder"),
        (".", "names a folder"),
    ],
)
def test_path_that_leads_out_of_the_folder(path, message, read):
    with pytest.raises(CardError, match=message):
        read(OWN.replace("v4.npy", path))
    with pytest.raises(CardError, match=message):
        read(PUBLIC.replace("day1/v4.npy", path))


def test_images_outside_the_folder(read):
    with pytest.raises(CardError, match="stimuli.images: '../images' leads out of the folder"):
        read(OWN.replace('"images"', '"../images"'))
    assert read(OWN.replace('"images"', '"."')).stimuli.images == "."


@given(st.text(alphabet="ab./\\:~", max_size=12))
def test_no_accepted_path_leaves_its_folder(tmp_path_factory, path):
    folder = tmp_path_factory.getbasetemp() / "folder"
    try:
        TypeAdapter(FilePath).validate_python(path)
    except ValidationError:
        return
    assert folder in (folder / path).resolve().parents


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The key 'name' is missing"),
        ("name = ", "is no TOML file"),
        (b'name = "\xff"', "is no TOML file"),
        ("name = 2020", "name: .*string, given 2020"),
        ('name = "a/b"', "'a/b' cannot be a name"),
        ('name = "../a"', "'../a' cannot be a name"),
        (OWN.replace("own", "own/it", 1), "cannot be a name"),
        (PUBLIC.replace("[parts.day1]", '[parts."a/b"]'), "'a/b' cannot be a name"),
        (PUBLIC.replace("0123456789ABCDEF", "0123456789ABCDE", 1), "64 hexadecimal digits"),
        (PUBLIC.replace("0123456789ABCDEF", "0123456789ABCDEG", 1), "64 hexadecimal digits"),
        (PUBLIC.replace("https://lab.org/v4", "ftp://lab.org/v4"), "begins with https://"),
        (PUBLIC.replace("https://lab.org/v4", "https:///v4"), "begins with https://"),
        (PUBLIC.replace("https://lab.org/v4", "https://lab.org/../v4"), "begins with https://"),
        (PUBLIC.replace("bytes = 10", "bytes = -1"), "files.0.bytes: .*greater than or equal to 0, given -1"),
        (PUBLIC.replace('parts = ["day1"]', 'parts = ["day2"]'), "Unknown part .*'day2'. Did you mean 'day1'"),
        (PUBLIC + PUBLIC[PUBLIC.index("[[files]]") : PUBLIC.index("[parts")], "two .* have the path"),
        (PUBLIC.replace('licence = "CC0-1.0"', ""), "must state licence"),
        (PUBLIC.replace("degrees = 8", "degrees = 0"), "degrees: .*greater than 0, given 0"),
        (PUBLIC.replace("degrees = 8", "degrees = inf"), "degrees: .*finite"),
        (PUBLIC + OWN[OWN.index("[regions.V4]") :], r"takes no \[\[files\]\] and no \[parts\]"),
        (OWN[: OWN.index("[regions")], r"\[stimuli\] needs \[regions.NAME\]"),
        (OWN.replace('images = "images"', "degrees = 8.0"), "name a folder of `images`, a `table`, or both"),
        (OWN.replace("v4.npy", "v4.mat"), "'v4.mat' is of no kind .* save it as .npy, .csv, .nc, .zarr"),
        (OWN.replace("v4.npy", "v4.NPY"), "is of no kind"),
        (OWN.replace('responses = "v4.npy"', ""), "a file of `responses` or of `rdms`, one of the two"),
        (OWN.replace("dims =", 'rdms = "x.npy"\ndims ='), "a file of `responses` or of `rdms`, one of the two"),
        (OWN.replace("dims =", 'subjects = ["a"]\ndims ='), "`subjects` has no meaning beside `responses`"),
        (OWN.replace("subjects", "subject = 'a'\nsubjects"), "`subject` has no meaning beside `rdms`"),
        (OWN.replace("s1.csv", "s1.npy") + 'stimuli = "o.csv"', "`stimuli` repeats what evc.nc must say"),
        (OWN.replace("v4.npy", "v4.zarr"), "`dims` repeats what v4.zarr says; leave it out"),
        (OWN.replace('"repeat"', '"time", "trial"'), "`dims` are .* expected one of .*stimulus, unit, repeat"),
        (OWN.replace('"repeat"', '"repeats"'), "'repeat' or 'time', given 'repeats'"),
        (OWN.replace('["s1.csv", "s2.csv"]', "3"), "regions.IT.rdms: .*list, given 3"),
        ("name = 'a'\nregions = 3", "regions: .*given 3"),
    ],
)
def test_wrong_card(text, message, read):
    with pytest.raises(CardError, match=message):
        read(text)


def test_missing_card(tmp_path):
    with pytest.raises(CardError, match="nowhere.toml cannot be read: No such file"):
        read_card(tmp_path / "nowhere.toml")
    with pytest.raises(CardError, match="Is a directory"):
        read_card(tmp_path)


def test_every_problem_is_named_at_once(read):
    with pytest.raises(CardError, match="hexadecimal.*speceis"):
        read(PUBLIC.replace("species", "speceis").replace("0123456789ABCDEF", ""))
