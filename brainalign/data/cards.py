"""Find cards: those of the package, those of installed plug-ins, and those given by path."""

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from brainalign.data.card import Card, read_card
from brainalign.errors import CardError
from brainalign.names import snake_case, unknown_name

ENTRY_POINTS = "brainalign.recordings"
"""Group of entry points by which a package adds cards: each value a path to a card or its folder."""


def list_cards() -> list[Card]:
    """Read every card that can be named without a path, sorted by name."""
    return [_read(place) for _, place in sorted(_catalogue().items())]


def find_card(name: str | Path) -> tuple[Card, str]:
    """Find a card, and the part of it that is meant.

    Parameters
    ----------
    name
        ``card``, ``card/part``, or the path of a card or of its folder (``./study/card.toml``,
        ``./study``, ``./study/day1``). A name in the catalogue comes before a path.

    Returns
    -------
    card, part
        The part is empty where none is named.

    Raises
    ------
    UnknownNameError
        Neither a card, nor a path to one, nor a part that the card has.
    CardError
        The card is not what a card must be.
    """
    name = str(name)
    catalogue = _catalogue()
    head, _, part = name.partition("/")
    for spelling in (head, snake_case(head)):
        if spelling in catalogue:
            return _with_part(_read(catalogue[spelling]), part)
    path = Path(name).expanduser()
    if (file := _card_file(path)) is not None:
        return read_card(file), ""
    if "/" in name and (file := _card_file(path.parent)) is not None:
        return _with_part(read_card(file), path.name)
    if path.suffix == ".toml":
        there = [each.name for each in path.parent.glob("*.toml")]
        raise unknown_name(f"card in the folder {str(path.parent)!r}", path.name, there)
    if path.is_dir():
        raise CardError(f"The folder {name!r} holds no card.toml; write one, or name another folder.")
    raise unknown_name("recording", name, catalogue)


def _with_part(card: Card, part: str) -> tuple[Card, str]:
    if part and part not in card.parts:
        raise unknown_name(f"part of {card.name}", part, card.parts)
    return card, part


def _card_file(path: Path) -> Path | None:
    file = path / "card.toml" if path.is_dir() else path
    return file if file.is_file() and file.suffix == ".toml" else None


def _catalogue() -> dict[str, Path | EntryPoint]:
    """Give the place of each card by its name; a plug-in never hides one of the package."""
    plugged: dict[str, Path | EntryPoint] = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    return plugged | {file.parent.name: file for file in _datasets_folder().glob("*/card.toml")}


def _datasets_folder() -> Path:
    """Folder of the package's own cards: inside an installed wheel, else beside the package."""
    package = Path(__file__).parents[1]
    inside = package / "datasets"
    return inside if inside.is_dir() else package.parent / "datasets"


def _read(place: Path | EntryPoint) -> Card:
    if isinstance(place, Path):
        return read_card(place)
    origin = f"The entry point {place.name!r} ({place.value}) of the group {ENTRY_POINTS!r}"
    try:
        given = place.load()
    except (ImportError, AttributeError) as error:
        raise CardError(f"{origin} cannot be loaded: {error}. Mend or uninstall its package.") from error
    file = _card_file(Path(given)) if isinstance(given, str | Path) else None
    if file is None:
        raise CardError(f"{origin} gives {given!r}; expected the path of a card or of its folder.")
    card = read_card(file)
    if card.name != place.name:
        raise CardError(f"{origin} gives a card of the name {card.name!r}; the two names must agree.")
    return card
