"""Files of the DANDI archive: the archive itself is asked for a published file's address and checksum."""

import json
from pathlib import Path

import requests

from brainalign.data.fetch import TIMEOUT, fetch_file
from brainalign.errors import FetchError
from brainalign.files import cache_folder, written_whole

API = "https://api.dandiarchive.org/api"
DIGEST = "dandi:sha2-256"


def fetch_dandi(dandiset: str, version: str, path: str) -> Path:
    """Fetch one file of a published version of a dandiset, and check it against the archive's own SHA-256.

    A published version never changes, so the archive's answer is kept beside the file and asked for once. The
    file comes as `fetch_file` says: from the cache, else a mirror (at its address in the archive's store), else
    the web; its checksum decides each time.

    Parameters
    ----------
    dandiset
        Six digits: ``"000128"``.
    version
        A published version: ``"0.220113.0400"``; a draft has no lasting checksums.
    path
        The file's path in the dandiset.

    Returns
    -------
    Path
        The verified file in the cache.

    Raises
    ------
    FetchError
        A draft, no answer, no such file, or one without a checksum; else as `fetch_file` says.
    """
    if version == "draft":
        raise FetchError(f"DANDI:{dandiset} can be fetched in a published version only; a draft may change.")
    destination = cache_folder() / "recordings" / "dandi" / dandiset / version / path
    record = destination.with_name(destination.name + ".json")
    if record.is_file():
        known = json.loads(record.read_text())
    else:
        known = _ask(dandiset, version, path)
        record.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(record) as temporary:
            temporary.write_text(json.dumps(known))
    return fetch_file(known["url"], known["sha256"], destination, known["bytes"])


def _ask(dandiset: str, version: str, path: str) -> dict:
    """Ask the archive for the address, the SHA-256 and the size of a file."""
    listing = f"{API}/dandisets/{dandiset}/versions/{version}/assets/"
    found = _get(listing, {"path": path}).get("results", [])
    asset = next((each for each in found if each["path"] == path), None)
    if asset is None:
        raise FetchError(f"DANDI:{dandiset}/{version} holds no file {path!r}; see {listing}.")
    metadata = _get(f"{listing}{asset['asset_id']}/")
    sha256 = metadata.get("digest", {}).get(DIGEST)
    if not sha256:
        raise FetchError(f"DANDI:{dandiset}/{version} gives no SHA-256 of {path!r}, so it cannot be verified.")
    addresses = metadata.get("contentUrl", [])
    # The archive's store comes first: it has a fixed address, the download of the API does not.
    stored = [each for each in addresses if "/blobs/" in each]
    return {"url": (stored or addresses)[0], "sha256": sha256, "bytes": int(asset["size"])}


def _get(url: str, parameters: dict[str, str] | None = None) -> dict:
    try:
        response = requests.get(url, params=parameters, timeout=TIMEOUT)
        response.raise_for_status()
        return response.json()
    except requests.RequestException as error:
        raise FetchError(
            f"The archive could not be asked at {url}: {error}. If this machine has no network access, get the "
            "file elsewhere and read it with `recording_from_nwb(PATH)`."
        ) from None
