"""Finding cards: in the package, in the checkout, in plug-ins, by path."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from brainalign.data import cards
from brainalign.data.cards import find_card, list_cards
from brainalign.errors import BrainalignError, CardError, UnknownNameError

CARD = """
name = "NAME"
[parts.day1]
[parts.day2]
"""


def write_card(folder: Path, file: str = "card.toml", name: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file
    path.write_text(CARD.replace("NAME", name or folder.name))
    return path


@pytest.fixture(autouse=True)
def datasets(tmp_path, monkeypatch) -> Path:
    """Two cards, as a package that lies in a checkout would have them."""
    package = tmp_path / "checkout" / "brainalign"
    write_card(tmp_path / "checkout" / "datasets" / "lab_2020")
    write_card(tmp_path / "checkout" / "datasets" / "lab_2021")
    (tmp_path / "checkout" / "datasets" / "drafts").mkdir()
    monkeypatch.setattr(cards, "__file__", str(package / "data" / "cards.py"))
    monkeypatch.setattr(cards, "entry_points", lambda group: [])
    return package.parent / "datasets"


@pytest.fixture
def plug_in(monkeypatch, tmp_path):
    """Install a module that offers one object as an entry point."""

    def install(name: str, given: object) -> None:
        (tmp_path / "plugged_in.py").write_text(f"CARD = {given!r}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "plugged_in", raising=False)
        point = EntryPoint(name, "plugged_in:CARD", "brainalign.recordings")
        monkeypatch.setattr(cards, "entry_points", lambda group: [point] if group == point.group else [])

    yield install
    sys.modules.pop("plugged_in", None)


def test_checkout_cards(datasets):
    assert [card.name for card in list_cards()] == ["lab_2020", "lab_2021"]
    card, part = find_card("lab_2020")
    assert card.folder == datasets / "lab_2020"
    assert part == ""


def test_packaged_cards_come_first(datasets, tmp_path):
    inside = tmp_path / "checkout" / "brainalign" / "datasets"
    write_card(inside / "lab_2022")
    assert [card.name for card in list_cards()] == ["lab_2022"]
    assert find_card("lab_2022")[0].folder == inside / "lab_2022"


@pytest.mark.parametrize("name", ["lab_2020/day2", "lab-2020/day2"])
def test_part(name):
    card, part = find_card(name)
    assert (card.name, part) == ("lab_2020", "day2")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lab_202", r"Unknown recording 'lab_202'. Did you mean 'lab_202\d'\? Choices: lab_2020, lab_2021"),
        ("lab_2020/day3", r"Unknown part of lab_2020 'day3'. Did you mean 'day\d'\? Choices: day1, day2"),
        ("nowhere/card.toml", "Unknown card in the folder 'nowhere' 'card.toml'"),
    ],
)
def test_unknown_name_shows_the_closest(name, message):
    with pytest.raises(UnknownNameError, match=message):
        find_card(name)


def test_misspelt_path_shows_the_closest(tmp_path):
    write_card(tmp_path / "study", "my_card.toml")
    with pytest.raises(UnknownNameError, match=r"'my_crad.toml'. Did you mean 'my_card.toml'\?"):
        find_card(str(tmp_path / "study" / "my_crad.toml"))


def test_paths(tmp_path, monkeypatch):
    study = tmp_path / "study"
    own = write_card(study, "my_card.toml", "own")
    write_card(study)
    monkeypatch.chdir(tmp_path)
    assert find_card(str(own))[0].name == "own"
    assert find_card(own)[0].name == "own"
    assert find_card("study/my_card.toml")[0].name == "own"
    assert find_card("study")[0].name == "study"
    for name in ("study/day1", "./study/day1", "study/card.toml/day1", f"{study}/day1"):
        card, part = find_card(name)
        assert (card.name, part) == ("study", "day1")
    with pytest.raises(UnknownNameError, match="Unknown part of own 'day9'"):
        find_card("study/my_card.toml/day9")


def test_home_folder_in_a_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_card(tmp_path / "study")
    assert find_card("~/study")[0].name == "study"


def test_catalogue_comes_before_a_folder_of_the_same_name(datasets, tmp_path, monkeypatch):
    write_card(tmp_path / "lab_2020", name="local")
    monkeypatch.chdir(tmp_path)
    assert find_card("lab_2020")[0].name == "lab_2020"
    assert find_card("./lab_2020")[0].name == "local"


def test_folder_without_a_card(tmp_path):
    with pytest.raises(CardError, match=r"holds no card.toml; write one"):
        find_card(str(tmp_path))


@pytest.mark.parametrize("as_folder", [True, False])
def test_plug_in(as_folder, plug_in, tmp_path):
    file = write_card(tmp_path / "elsewhere", name="plugged")
    plug_in("plugged", str(file.parent if as_folder else file))
    assert find_card("plugged/day1")[0].folder == tmp_path / "elsewhere"
    assert [card.name for card in list_cards()] == ["lab_2020", "lab_2021", "plugged"]


def test_plug_in_never_hides_a_card_of_the_package(plug_in, tmp_path, datasets):
    plug_in("lab_2020", str(write_card(tmp_path / "elsewhere", name="lab_2020")))
    assert find_card("lab_2020")[0].folder == datasets / "lab_2020"


@pytest.mark.parametrize(
    ("given", "message"),
    [(3, "gives 3; expected the path of a card"), ("/no/where", "gives '/no/where'; expected the path")],
)
def test_plug_in_that_gives_no_card(given, message, plug_in):
    plug_in("plugged", given)
    with pytest.raises(CardError, match=message):
        find_card("plugged")
    assert find_card("lab_2020")[0].name == "lab_2020"


def test_plug_in_that_cannot_be_imported(monkeypatch):
    point = EntryPoint("plugged", "no_such_module:CARD", "brainalign.recordings")
    monkeypatch.setattr(cards, "entry_points", lambda group: [point])
    with pytest.raises(CardError, match="'plugged' .*cannot be loaded: No module named 'no_such_module'"):
        find_card("plugged")


def test_plug_in_under_another_name(plug_in, tmp_path):
    plug_in("plugged", str(write_card(tmp_path / "elsewhere", name="other")))
    with pytest.raises(CardError, match="the name 'other'; the two names must agree"):
        find_card("plugged")


def test_broken_card_is_told(datasets):
    (datasets / "lab_2020" / "card.toml").write_text("name = ")
    with pytest.raises(BrainalignError, match="no TOML"):
        find_card("lab_2020")
