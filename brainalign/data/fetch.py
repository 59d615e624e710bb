"""Fetch public files: from the cache, else a mirror, else the web; the checksum decides each time."""

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import filelock
import requests
from pooch import HTTPDownloader
from tqdm import tqdm

from brainalign.data.card import Card
from brainalign.errors import FetchError
from brainalign.files import cache_folder, mirror_folder, sha256_of, written_whole

ATTEMPTS = 3
PAUSE = 1.0
"""Seconds before the second attempt; twice as long before the third."""
TIMEOUT = (10, 60)
"""Seconds to wait for a connection, and for the next bytes."""

logger = logging.getLogger(__name__)


def fetch_card(card: Card, part: str = "") -> dict[str, Path]:
    """Fetch the files that one part of a card needs.

    Parameters
    ----------
    card
        The card.
    part
        Name of the part; empty for a card without parts.

    Returns
    -------
    dict
        For each file's ``path`` of the card its verified place in the cache.

    Raises
    ------
    FetchError
        As `fetch_file` says.
    """
    folder = cache_folder() / "recordings" / card.name
    files = [file for file in card.files if file.parts is None or part in file.parts]
    fetched = {}
    progress = tqdm(files, desc=card.recording_name(part), unit="file", delay=2, leave=False)
    for file in progress:
        fetched[file.path] = fetch_file(file.url, file.sha256, folder / file.path, file.bytes)
    return fetched


def fetch_file(url: str, sha256: str, destination: Path, size: int | None = None) -> Path:
    """Fetch one file, unless it is there already, and check its sum either way.

    The file comes from the folder that ``BRAINALIGN_MIRROR`` names, where that holds the URL without
    its scheme as a path, else from the URL. It is written under another name and takes its own only
    once its checksum is right. A lock lets one process at a time fetch to a folder.

    Parameters
    ----------
    url
        Public address, ``https://`` or ``http://``.
    sha256
        SHA-256 of the file, 64 hexadecimal digits.
    destination
        Where the file goes.
    size
        Its bytes, where known: a shorter download counts as broken off.

    Returns
    -------
    Path
        The destination.

    Raises
    ------
    FetchError
        No network access, a download that breaks off time and again, a checksum that differs (the
        file is kept aside as ``NAME.bad-checksum``), or a folder that cannot be written to.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise FetchError(f"{url!r} cannot be fetched: its address must begin with https:// or http://.")
    try:
        # Without the lock first: a cache that is complete may be read-only.
        if _matches(destination, sha256):
            return destination
        destination.parent.mkdir(parents=True, exist_ok=True)
        with _lock(destination.parent):
            if not _matches(destination, sha256):
                _set_aside_if_there(destination)
                _fetch(url, sha256, destination, size)
    except OSError as error:
        needed = f" ({size} bytes are needed)" if size else ""
        raise FetchError(
            f"{url} could not be brought to {destination}: {error}. Make room{needed} and see that the "
            "folder can be written to, or set BRAINALIGN_CACHE to another folder."
        ) from None
    return destination


def _fetch(url: str, sha256: str, destination: Path, size: int | None) -> None:
    mirrored = _mirrored(url)
    with written_whole(destination) as temporary:
        if mirrored is None:
            _download(url, temporary, destination, size)
        else:
            shutil.copyfile(mirrored, temporary)
        found = sha256_of(temporary)
        if found != sha256.lower():
            aside = _aside(destination)
            os.replace(temporary, aside)
            raise FetchError(
                f"The file from {mirrored or url} has the SHA-256 {found}; expected {sha256.lower()}. It was "
                f"kept aside as {aside} and nothing was cached. Try again, in case it was damaged on the way; "
                "if it comes out the same, the file at its source is another than the card describes: "
                f"{'mend the mirror' if mirrored else 'get the right one'} or ask the card's author."
            )


def _matches(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path) == sha256.lower()


def _aside(path: Path) -> Path:
    return path.with_name(path.name + ".bad-checksum")


def _set_aside_if_there(path: Path) -> None:
    if path.exists():
        os.replace(path, _aside(path))
        logger.warning("%s no longer has its checksum; kept aside as %s and fetched anew.", path, _aside(path))


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=2)
    except filelock.Timeout:
        logger.warning("Another process is fetching files to %s; waiting for it.", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _mirrored(url: str) -> Path | None:
    """Find the file in the mirror, if there is one and it holds the file."""
    mirror = mirror_folder()
    if mirror is None:
        return None
    path = mirror / url.split("://", 1)[1]
    return path if path.is_file() and path.resolve().is_relative_to(mirror.resolve()) else None


def _download(url: str, temporary: Path, destination: Path, size: int | None) -> None:
    """Download to a temporary path, from the beginning at each attempt."""
    problem = ""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _transfer(url, temporary, destination.name)
        except requests.RequestException as error:
            problem = _in_plain_words(error, url)
            if not _may_pass(error):
                break
        else:
            # A file that stays too short is a wrong one: its checksum tells.
            if size is None or temporary.stat().st_size >= size or attempt == ATTEMPTS:
                return
        if attempt < ATTEMPTS:
            time.sleep(PAUSE * attempt)
    # Without the cause: a chain of the transport's own errors would bury what to do.
    raise FetchError(
        f"{url} could not be downloaded: {problem}. If this machine has no network access, get the file "
        f"elsewhere and save it as {destination}, or set BRAINALIGN_MIRROR to a folder that holds it at "
        f"{url.split('://', 1)[1]}."
    ) from None


class _Bar(tqdm):
    """A progress bar that is true from the start: pooch asks, before it knows the size."""

    def __bool__(self) -> bool:
        return True


def _transfer(url: str, temporary: Path, name: str) -> None:
    # Unencoded, so that the bytes counted are the file's own.
    headers = {"Accept-Encoding": "identity"}
    with _Bar(desc=name, unit="B", unit_scale=True, leave=False) as progress:
        downloader = HTTPDownloader(
            progressbar=progress,  # pyright: ignore[reportArgumentType]  (any bar will do, says pooch)
            chunk_size=2**16,
            timeout=TIMEOUT,
            headers=headers,
        )
        downloader(url, str(temporary), None)


def _may_pass(error: requests.RequestException) -> bool:
    """Whether another attempt may do better: not where the server says that there is no such file."""
    return (
        error.response is None or error.response.status_code in (408, 429) or error.response.status_code >= 500
    )


def _in_plain_words(error: requests.RequestException, url: str) -> str:
    host = urlsplit(url).hostname
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"{host} answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.SSLError):
        return f"the certificate of {host} could not be verified"
    if isinstance(error, requests.Timeout):
        return f"{host} did not answer in time"
    if isinstance(error, requests.ConnectionError):
        return f"there is no connection to {host}, or it broke off"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"the connection to {host} broke off in the middle of the file"
    return str(error)
