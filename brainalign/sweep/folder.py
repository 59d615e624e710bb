"""An experiment's folder: which experiment it is of, and who works on it."""

import contextlib
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from brainalign.errors import BrainalignError
from brainalign.files import written_whole

COPY = "experiment.toml"
LOCK = ".lock"


def check_folder(folder: Path, name: str) -> None:
    """Refuse a folder that holds another experiment, or something else.

    Raises
    ------
    BrainalignError
        It does.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise BrainalignError(f"{folder} is a file; give a folder.")
    copy = folder / COPY
    if copy.is_file():
        try:
            there = tomllib.loads(copy.read_text(encoding="utf-8")).get("name")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BrainalignError(f"{copy} is no experiment file: {error}. Choose another folder.") from error
        if there != name:
            raise BrainalignError(
                f"{folder} holds the experiment {there!r}, not {name!r}; choose another folder. (An experiment "
                "that has grown goes on in its folder as long as its `name` stays.)"
            )
        return
    others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if others:
        raise BrainalignError(
            f"{folder} is not empty ({others[0]}, …) and holds no experiment; choose another."
        )


def claim_folder(folder: Path, text: str) -> None:
    """Keep a copy of the experiment file."""
    copy = folder / COPY
    if not copy.is_file() or copy.read_text(encoding="utf-8") != text:
        with written_whole(copy) as temporary:
            temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def alone_in(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other run works on the folder, and keep others out."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"Another run works on {folder}; this one waits until it is through.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
