"""Files of the archive: what it is asked, what is kept, and the benchmark's cards on files of its layout."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from brainalign.data import nwb_dandi
from brainalign.data.load import load_recording
from brainalign.data.nwb_dandi import fetch_dandi
from brainalign.errors import FetchError

CONTENT = b"a file of the archive"


class Archive(ThreadingHTTPServer):
    """An archive on this machine: files by dandiset, version and path, and what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[tuple[str, str, str], bytes] = {}
        self.digests: dict[str, str] = {}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str) -> bytes | None:
        parts = urlsplit(path)
        steps = parts.path.strip("/").split("/")
        if steps[0] == "blobs":
            return next((each for key, each in self.files.items() if _number(key) == steps[1]), None)
        held = {key: each for key, each in self.files.items() if key[:2] == (steps[1], steps[3])}
        if not held:
            return None
        if len(steps) == 5:
            wanted = parse_qs(parts.query)["path"][0]
            # The archive finds by the beginning of a path.
            found = [(key, each) for key, each in held.items() if key[2].startswith(wanted)]
            listed = [{"asset_id": _number(key), "path": key[2], "size": len(each)} for key, each in found]
            return json.dumps({"results": listed[::-1]}).encode()
        content = next(each for key, each in held.items() if _number(key) == steps[5])
        digest = self.digests.get(steps[5], hashlib.sha256(content).hexdigest())
        addresses = [f"{self.url}/assets/{steps[5]}/download/", f"{self.url}/blobs/{steps[5]}"]
        found = {"dandi:sha2-256": digest} if digest else {"dandi:dandi-etag": "0-1"}
        return json.dumps({"contentUrl": addresses, "digest": found}).encode()


class Handler(BaseHTTPRequestHandler):
    server: Archive

    def do_GET(self):
        self.server.asked.append(urlsplit(self.path).path)
        body = self.server.answer(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *arguments):
        """Keep the test's output clean."""


def _number(key: tuple[str, str, str]) -> str:
    return hashlib.sha256("/".join(key).encode()).hexdigest()[:8]


@pytest.fixture
def archive(monkeypatch):
    monkeypatch.delenv("BRAINALIGN_MIRROR", raising=False)
    monkeypatch.setattr("brainalign.data.fetch.PAUSE", 0.0)
    server = Archive()
    monkeypatch.setattr(nwb_dandi, "API", server.url)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_is_asked_for_once_and_verified(archive, cache):
    key = ("000001", "0.1", "sub-A/a.nwb")
    archive.files[key] = CONTENT
    archive.files["000001", "0.1", "sub-A/a.nwb.backup"] = b"another"
    path = fetch_dandi(*key)
    assert path.read_bytes() == CONTENT
    assert path == cache / "recordings/dandi/000001/0.1/sub-A/a.nwb"
    listing = "/dandisets/000001/versions/0.1/assets/"
    assert archive.asked == [listing, f"{listing}{_number(key)}/", f"/blobs/{_number(key)}"]
    assert fetch_dandi(*key) == path
    assert len(archive.asked) == 3
    path.unlink()
    assert fetch_dandi(*key).read_bytes() == CONTENT
    assert archive.asked[3:] == [f"/blobs/{_number(key)}"]


def test_a_file_of_another_checksum_is_refused(archive):
    key = ("000001", "0.1", "a.nwb")
    archive.files[key] = CONTENT
    archive.digests[_number(key)] = "0" * 64
    with pytest.raises(FetchError, match="has the SHA-256 .* expected 0000"):
        fetch_dandi(*key)


def test_what_the_archive_does_not_hold(archive):
    key = ("000001", "0.1", "a.nwb")
    archive.files[key] = CONTENT
    archive.digests[_number(key)] = ""
    with pytest.raises(FetchError, match=r"DANDI:000001/0\.1 gives no SHA-256 of 'a\.nwb'"):
        fetch_dandi(*key)
    with pytest.raises(FetchError, match=r"DANDI:000001/0\.1 holds no file 'a'"):
        fetch_dandi("000001", "0.1", "a")
    with pytest.raises(FetchError, match=r"could not be asked at .*/dandisets/000002/.*404"):
        fetch_dandi("000002", "0.1", "a.nwb")
    with pytest.raises(FetchError, match="in a published version only"):
        fetch_dandi("000001", "draft", "a.nwb")


def test_without_network_access_the_way_out_is_named(archive, monkeypatch):
    monkeypatch.setattr(nwb_dandi, "API", "http://127.0.0.1:1")
    with pytest.raises(FetchError, match=r"read it with `recording_from_nwb\(PATH\)`"):
        fetch_dandi("000001", "0.1", "a.nwb")


def _published(archive, write_session, prepared, **given):
    path, content = write_session(**given)
    archive.files[prepared] = path.read_bytes()
    return content


def test_mc_maze_reads_a_file_of_its_layout(archive, write_session):
    name = "sub-Jenkins/sub-Jenkins_ses-small_desc-train_behavior+ecephys.nwb"
    content = _published(archive, write_session, ("000140", "0.220113.0408", name))
    recording = load_recording("mc_maze/small")
    assert recording.name == "mc_maze/small"
    assert recording.regions == ["M1", "PMd"]
    rates = recording["M1"]
    assert rates.sizes == {"trial": 5, "unit": 2, "time": 35}
    np.testing.assert_allclose(rates["time"][[0, -1]], [-0.24, 0.44], atol=1e-12)
    assert recording.stimuli.metadata["angle"].to_dict() == {"1/0": 0.0, "1/1": 180.0, "2/0": 90.0}
    assert "Churchland" in recording.provenance.citation
    onset = content.trials["move_onset_time"].values[:5, None]
    x = recording.kinematics.sel(kinematic="x_position").values
    np.testing.assert_allclose(x, 0.003 * (onset + rates["time"].values), atol=1e-12)


def test_mc_rtt_reads_a_file_of_its_layout(archive, write_session):
    name = "sub-Indy/sub-Indy_desc-train_behavior+ecephys.nwb"
    _published(archive, write_session, ("000129", "0.241017.1444", name), stamped=False, locations=None)
    recording = load_recording("mc_rtt")
    assert recording["M1"].sizes == {"trial": 5, "unit": 4, "time": 30}
    assert recording.stimuli.ids == [f"trial{index}" for index in range(5)]
    assert recording.kinematics["kinematic"].values.tolist() == [
        "x_position", "y_position", "x_velocity", "y_velocity",
    ]  # fmt: skip


def test_area2_bump_reads_a_file_of_its_layout(archive, write_session):
    name = "sub-Han/sub-Han_desc-train_behavior+ecephys.nwb"
    _published(archive, write_session, ("000127", "0.220113.0359", name), stamped=False)
    recording = load_recording("area2_bump")
    assert recording["area2"].sizes == {"trial": 5, "unit": 4, "time": 30}
    metadata = recording.stimuli.metadata
    assert metadata["ctr_hold_bump"].to_dict() == {
        "0/False": False, "180/True": True, "90/False": False, "90/True": True,
    }  # fmt: skip
    assert metadata["angle"].tolist() == [0, 180, 90, 90]
