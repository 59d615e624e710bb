"""Folders of the user's machine, whole-or-nothing writing, and hashes of content."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import platformdirs

from brainalign.errors import BrainalignError


def cache_folder() -> Path:
    """Folder for downloads and computed representations: ``BRAINALIGN_CACHE``, else the platform's."""
    named = os.environ.get("BRAINALIGN_CACHE")
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("brainalign"))


def mirror_folder() -> Path | None:
    """Folder that mirrors public URLs (without the scheme): ``BRAINALIGN_MIRROR``, else None."""
    return _named_folder("BRAINALIGN_MIRROR")


def images_folder() -> Path | None:
    """Folder with local copies of image sets: ``BRAINALIGN_IMAGES``, else None."""
    return _named_folder("BRAINALIGN_IMAGES")


def _named_folder(variable: str) -> Path | None:
    named = os.environ.get(variable)
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise BrainalignError(
            f"{variable} names {named!r}, which is no folder. Point it at an existing folder or unset it."
        )
    return folder


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` on success, delete it on failure.

    A reader sees the old file or the new one, never half of one; a process killed in between leaves
    only a file whose name begins with ``.part-``, which nothing reads.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".part-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(*parts: str | bytes | np.ndarray) -> str:
    """SHA-256 over texts, bytes and arrays, each told apart by kind, shape and length.

    Examples
    --------
    >>> content_hash("a", "b") == content_hash("ab")
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            head, body = (
                f"array {part.dtype.str} {part.shape}",
                np.ascontiguousarray(part).tobytes(),
            )
        elif isinstance(part, str):
            body = part.encode()
            head = f"text {len(body)}"
        else:
            head, body = f"bytes {len(part)}", part
        digest.update(head.encode() + b"\0" + body)
    return digest.hexdigest()
