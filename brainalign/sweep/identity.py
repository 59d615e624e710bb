"""What a cell's key must hold besides names: the content of recordings and of files of one's own."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from brainalign.data.cards import find_card
from brainalign.files import content_hash, sha256_of


@lru_cache
def environment() -> str:
    """Versions of what computes: results of other versions are not taken for these."""
    return ", ".join(f"{name} {version(name)}" for name in ("brainalign", "torch", "numpy"))


@lru_cache
def recording_identity(name: str) -> str:
    """Hash what a recording is made of: its card (with the hashes of its files) and how it is prepared.

    Of a recording of one's own, whose card holds no hashes, the files themselves.
    """
    card, part = find_card(name)
    prepare = card.folder / "prepare.py"
    parts = [card.model_dump_json(), part, prepare.read_text() if prepare.is_file() else ""]
    if card.regions:
        for file in _own_files(card.folder, card.model_dump(mode="json")):
            parts += [str(file.relative_to(card.folder)), sha256_of(file)]
    return content_hash(*parts)


@lru_cache
def network_identity(name: str) -> str:
    """Hash the file that a network of one's own comes from; empty for one of a catalogue."""
    file, _, _ = name.rpartition(":")
    return sha256_of(Path(file).expanduser()) if file.endswith(".py") else ""


def key_of(kind: str, facts: Mapping[str, object]) -> str:
    """Hash what decides a cell's result.

    Examples
    --------
    >>> key_of("run", {"seed": 0}) == key_of("run", {"seed": 1})
    False
    """
    return content_hash(kind, environment(), json.dumps(facts, sort_keys=True, separators=(",", ":")))


def _own_files(folder: Path, fields: object) -> Iterator[Path]:
    """Give every file that a card's fields name, also inside folders that they name."""
    if isinstance(fields, dict | list):
        for each in fields.values() if isinstance(fields, dict) else fields:
            yield from _own_files(folder, each)
    elif isinstance(fields, str) and fields and (folder / fields).exists():
        named = folder / fields
        yield from sorted(f for f in named.rglob("*") if f.is_file()) if named.is_dir() else [named]
