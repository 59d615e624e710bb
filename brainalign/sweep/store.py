"""An experiment's folder: one file a finished cell, whole or not there."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from brainalign.files import written_whole

CELLS, RUNS, FAILURES = "cells", "runs", "failures"
DIGEST = 64


class Store:
    """Results by key: ``cells/ab/abcd….json``, the SHA-256 of the body on the first line.

    A file that was cut short or changed counts as none; the cell is done again.

    Parameters
    ----------
    folder
        The experiment's folder.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def path(self, key: str) -> Path:
        """Give the file of a cell."""
        return self.folder / CELLS / key[:2] / f"{key}.json"

    def run_folder(self, key: str) -> Path:
        """Give the folder of a training run."""
        return self.folder / RUNS / key

    def write(self, key: str, result: Mapping[str, object]) -> None:
        """Keep a cell's result."""
        body = json.dumps(result, separators=(",", ":"), ensure_ascii=False).encode()
        digest = hashlib.sha256(body).hexdigest().encode()
        with written_whole(self.path(key)) as temporary:
            temporary.write_bytes(digest + b"\n" + body + b"\n")

    def digest(self, key: str) -> str | None:
        """Give the hash of a cell's result; None where there is none, or none that is whole."""
        body = self._body(self.path(key))
        return None if body is None else body[0]

    def read(self, key: str) -> dict | None:
        """Give a cell's result, or None."""
        body = self._body(self.path(key))
        return None if body is None else json.loads(body[1])

    def scan(self) -> tuple[dict[str, str], list[str]]:
        """Read every file: hashes of whole results by key, and the keys of those that are not whole."""
        whole, broken = {}, []
        for path in self._files():
            body = self._body(path)
            if body is None:
                broken.append(path.stem)
            else:
                whole[path.stem] = body[0]
        return whole, broken

    def forget(self, key: str) -> None:
        """Remove a cell's result."""
        self.path(key).unlink(missing_ok=True)

    def fail(self, key: str, error: str) -> None:
        """Keep the text of a cell's error; where even that cannot be written, the caller has it."""
        try:
            with written_whole(self.folder / FAILURES / f"{key}.txt") as temporary:
                temporary.write_text(error, encoding="utf-8")
        except OSError:
            return

    def clear_failures(self) -> None:
        """Forget earlier errors: their cells are tried again."""
        for path in (self.folder / FAILURES).glob("*.txt"):
            path.unlink(missing_ok=True)

    def sweep_up(self) -> None:
        """Remove what killed processes left half-written."""
        for path in self.folder.rglob(".part-*"):
            path.unlink(missing_ok=True)

    def _files(self) -> Iterator[Path]:
        root = self.folder / CELLS
        if root.is_dir():
            for folder in sorted(os.scandir(root), key=lambda entry: entry.name):
                for entry in os.scandir(folder):
                    if entry.name.endswith(".json") and not entry.name.startswith("."):
                        yield Path(entry.path)

    @staticmethod
    def _body(path: Path) -> tuple[str, bytes] | None:
        try:
            stored = path.read_bytes()
        except OSError:
            return None
        digest, body = stored[:DIGEST].decode("ascii", "replace"), stored[DIGEST + 1 : -1]
        if not stored.endswith(b"\n") or hashlib.sha256(body).hexdigest() != digest:
            return None
        return digest, body
