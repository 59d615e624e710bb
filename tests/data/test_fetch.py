"""Fetching: where a file comes from, and that nothing but the right bytes ever takes its name."""

import errno
import hashlib
import multiprocessing
import os
import re
import resource
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from brainalign.data import fetch
from brainalign.data.card import read_card
from brainalign.data.fetch import fetch_card, fetch_file
from brainalign.errors import BrainalignError, FetchError

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SPAWN = multiprocessing.get_context("spawn")


class Server(ThreadingHTTPServer):
    """A server on this machine that answers as its ``behave`` says, and counts what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.half_sent = threading.Event()
        self.go_on = threading.Event()
        self.behave = whole

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/lab/v4.bin"

    def handle_error(self, request, client_address):
        """Say nothing where a client hangs up."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.behave(self)

    def start(self, length: int, status: int = 200):
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *arguments):
        """Keep the test's output clean."""


def whole(handler: Handler):
    handler.start(len(CONTENT))
    handler.wfile.write(CONTENT)


def cut_in_the_middle(handler: Handler):
    handler.start(len(CONTENT))
    handler.wfile.write(CONTENT[: len(CONTENT) // 2])


def half_without_length(handler: Handler):
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(CONTENT[: len(CONTENT) // 2])


def other_content(handler: Handler):
    handler.start(len(CONTENT))
    handler.wfile.write(bytes(len(CONTENT)))


def slow(handler: Handler):
    handler.start(len(CONTENT))
    handler.wfile.write(CONTENT[: len(CONTENT) // 2])
    handler.wfile.flush()
    handler.server.half_sent.set()
    handler.server.go_on.wait(60)
    handler.wfile.write(CONTENT[len(CONTENT) // 2 :])


def refusing(status: int):
    return lambda handler: handler.start(0, status)


def first(times: int, fault, then=whole):
    """Behave badly the first few times."""
    return lambda handler: (fault if len(handler.server.asked) <= times else then)(handler)


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No mirror, no proxy, and no waiting between attempts."""
    monkeypatch.delenv("BRAINALIGN_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetch, "PAUSE", 0.0)


@pytest.fixture
def destination(tmp_path) -> Path:
    return tmp_path / "cache" / "v4.bin"


def left_over(destination: Path) -> set[str]:
    return {path.name for path in destination.parent.iterdir()} - {".lock"}


def mirrored(server: Server, tmp_path: Path, content: bytes, monkeypatch) -> Path:
    file = tmp_path / "mirror" / f"127.0.0.1:{server.server_port}" / "lab" / "v4.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    monkeypatch.setenv("BRAINALIGN_MIRROR", str(tmp_path / "mirror"))
    return file


def test_download_shows_progress(server, destination, capfd):
    server.behave = slow
    threading.Timer(0.5, server.go_on.set).start()
    assert fetch_file(server.url, SHA256, destination) == destination
    assert destination.read_bytes() == CONTENT
    assert left_over(destination) == {"v4.bin"}
    assert re.search(r"v4\.bin: +(?!0%)\d+%.*/300k", capfd.readouterr().err)


def test_cached_file_is_not_fetched_again(server, destination):
    fetch_file(server.url, SHA256, destination)
    fetch_file(server.url, SHA256.upper(), destination)
    assert len(server.asked) == 1


def test_complete_cache_needs_no_writing(server, destination, monkeypatch):
    fetch_file(server.url, SHA256, destination)
    (destination.parent / ".lock").unlink(missing_ok=True)
    monkeypatch.setattr(fetch, "_lock", lambda folder: pytest.fail("took a lock"))
    assert fetch_file(server.url, SHA256, destination) == destination
    assert left_over(destination) == {"v4.bin"}


def test_mirror_comes_before_the_web(server, destination, tmp_path, monkeypatch):
    file = mirrored(server, tmp_path, CONTENT, monkeypatch)
    assert fetch_file(server.url, SHA256, destination).read_bytes() == CONTENT
    assert server.asked == []
    file.unlink()
    assert fetch_file(server.url, SHA256, destination).read_bytes() == CONTENT
    assert server.asked == []


def test_file_that_the_mirror_lacks_is_downloaded(server, destination, tmp_path, monkeypatch):
    mirrored(server, tmp_path, CONTENT, monkeypatch).unlink()
    fetch_file(server.url, SHA256, destination)
    assert server.asked == ["/lab/v4.bin"]


def test_mirror_that_is_no_folder(server, destination, tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(BrainalignError, match="BRAINALIGN_MIRROR names .*nowhere"):
        fetch_file(server.url, SHA256, destination)


def test_url_cannot_climb_out_of_the_mirror(destination, tmp_path, monkeypatch):
    (tmp_path / "secret.bin").write_bytes(CONTENT)
    (tmp_path / "mirror" / "127.0.0.1:9").mkdir(parents=True)
    monkeypatch.setenv("BRAINALIGN_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(FetchError, match="no connection"):
        fetch_file("http://127.0.0.1:9/../../secret.bin", SHA256, destination)


@pytest.mark.parametrize("source", ["web", "mirror"])
def test_other_checksum_is_kept_aside_and_nothing_cached(source, server, destination, tmp_path, monkeypatch):
    server.behave = other_content
    if source == "mirror":
        mirrored(server, tmp_path, bytes(len(CONTENT)), monkeypatch)
    found = hashlib.sha256(bytes(len(CONTENT))).hexdigest()
    with pytest.raises(FetchError, match=f"SHA-256 {found}; expected {SHA256}.*v4.bin.bad-checksum"):
        fetch_file(server.url, SHA256, destination, len(CONTENT))
    assert left_over(destination) == {"v4.bin.bad-checksum"}
    assert destination.with_name("v4.bin.bad-checksum").read_bytes() == bytes(len(CONTENT))
    assert len(server.asked) == (source == "web")


def test_cached_file_that_changed_is_kept_aside_and_fetched_anew(server, destination, caplog):
    fetch_file(server.url, SHA256, destination)
    destination.write_bytes(CONTENT[:-1] + b"x")
    assert fetch_file(server.url, SHA256, destination).read_bytes() == CONTENT
    assert destination.with_name("v4.bin.bad-checksum").read_bytes() == CONTENT[:-1] + b"x"
    assert "no longer has its checksum" in caplog.text
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "fault",
    [cut_in_the_middle, half_without_length, refusing(503), refusing(429)],
    ids=["cut", "short", "503", "429"],
)
def test_broken_download_starts_again(fault, server, destination):
    server.behave = first(2, fault)
    assert fetch_file(server.url, SHA256, destination, len(CONTENT)).read_bytes() == CONTENT
    assert len(server.asked) == 3
    assert left_over(destination) == {"v4.bin"}


@pytest.mark.parametrize(
    ("fault", "words", "attempts"),
    [
        (cut_in_the_middle, "broke off", 3),
        (refusing(503), "answered 503 Service Unavailable", 3),
        (refusing(404), "answered 404 Not Found", 1),
    ],
    ids=["cut", "503", "404"],
)
def test_download_that_never_succeeds(fault, words, attempts, server, destination):
    server.behave = fault
    with pytest.raises(FetchError, match=words) as raised:
        fetch_file(server.url, SHA256, destination)
    assert len(server.asked) == attempts
    assert left_over(destination) == set()
    assert raised.value.__suppress_context__


def test_download_that_stays_short_is_kept_aside(server, destination):
    server.behave = half_without_length
    with pytest.raises(FetchError, match="bad-checksum"):
        fetch_file(server.url, SHA256, destination, len(CONTENT))
    assert len(server.asked) == 3
    assert left_over(destination) == {"v4.bin.bad-checksum"}


def test_no_network_access(server, destination):
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(FetchError) as raised:
        fetch_file(url, SHA256, destination)
    message = str(raised.value)
    assert "no connection to 127.0.0.1" in message
    assert f"save it as {destination}" in message
    assert f"BRAINALIGN_MIRROR to a folder that holds it at {url.removeprefix('http://')}" in message
    assert raised.value.__suppress_context__
    assert left_over(destination) == set()


def test_server_that_says_nothing(server, destination, monkeypatch):
    monkeypatch.setattr(fetch, "TIMEOUT", (1, 0.1))
    server.behave = lambda handler: handler.server.go_on.wait(60)
    with pytest.raises(FetchError, match="did not answer in time"):
        fetch_file(server.url, SHA256, destination)


@pytest.mark.parametrize("url", ["ftp://lab.org/v4.bin", "file:///etc/passwd", "v4.bin"])
def test_other_addresses_are_refused(url, destination):
    with pytest.raises(FetchError, match="must begin with https://"):
        fetch_file(url, SHA256, destination)


def test_full_disk(server, destination, monkeypatch):
    def fill_up(downloader, url, output_file, pooch):
        Path(output_file).write_bytes(CONTENT[:1000])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(fetch.HTTPDownloader, "__call__", fill_up)
        with pytest.raises(FetchError, match="No space left on device.*300000 bytes.*BRAINALIGN_CACHE"):
            fetch_file(server.url, SHA256, destination, len(CONTENT))
    assert left_over(destination) == set()
    assert fetch_file(server.url, SHA256, destination).read_bytes() == CONTENT


def test_disk_that_refuses_to_hold_more(server, destination):
    """The system itself fails a write in the middle."""
    with (
        ProcessPoolExecutor(
            1, SPAWN, initializer=resource.setrlimit, initargs=(resource.RLIMIT_FSIZE, (100_000, 100_000))
        ) as other,
        pytest.raises(FetchError, match="File too large"),
    ):
        other.submit(fetch_file, server.url, SHA256, destination, len(CONTENT)).result(60)
    assert left_over(destination) == set()
    assert fetch_file(server.url, SHA256, destination).read_bytes() == CONTENT


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_cannot_be_written_to(server, destination):
    destination.parent.mkdir(mode=0o500)
    with pytest.raises(FetchError, match="Permission denied"):
        fetch_file(server.url, SHA256, destination)


def test_cache_that_is_a_file(server, tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(FetchError, match="BRAINALIGN_CACHE"):
        fetch_file(server.url, SHA256, tmp_path / "cache" / "v4.bin")


def test_processes_at_once_fetch_once(server, destination):
    with ProcessPoolExecutor(3, SPAWN) as others:
        futures = [others.submit(fetch_file, server.url, SHA256, destination) for _ in range(6)]
        assert {future.result(60) for future in futures} == {destination}
    assert destination.read_bytes() == CONTENT
    assert len(server.asked) == 1
    assert left_over(destination) == {"v4.bin"}


def test_second_process_waits_and_says_so(server, destination, caplog):
    server.behave = first(1, slow)
    other = SPAWN.Process(target=fetch_file, args=(server.url, SHA256, destination))
    other.start()
    assert server.half_sent.wait(60)
    threading.Timer(2.5, server.go_on.set).start()
    assert fetch_file(server.url, SHA256, destination).read_bytes() == CONTENT
    other.join(60)
    assert other.exitcode == 0
    assert len(server.asked) == 1
    assert "Another process is fetching" in caplog.text


def test_killed_process_leaves_nothing_that_is_read(server, destination):
    server.behave = first(1, slow)
    victim = SPAWN.Process(target=fetch_file, args=(server.url, SHA256, destination))
    victim.start()
    assert server.half_sent.wait(60)
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in destination.parent.glob(".part-*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.join(60)
    assert victim.exitcode == -signal.SIGKILL
    assert not destination.exists()
    assert fetch_file(server.url, SHA256, destination).read_bytes() == CONTENT
    assert len(server.asked) == 2


CARD = """
name = "lab"
title = "A study"
species = "macaque"
areas = ["V4"]
method = "spike counts"
licence = "CC0-1.0"
citation = "Lab (2020)"
bibtex = "@misc{lab}"
url = "https://lab.org"

[[files]]
url = "URL"
sha256 = "SHA256"
bytes = 300000
path = "day1/v4.bin"
parts = ["day1"]

[[files]]
url = "URL?facts"
sha256 = "SHA256"
bytes = 300000
path = "facts.bin"

[parts.day1]
[parts.day2]
"""


def test_card_fetches_what_its_part_needs(server, tmp_path, cache):
    (tmp_path / "card.toml").write_text(CARD.replace("URL", server.url).replace("SHA256", SHA256))
    card = read_card(tmp_path / "card.toml")
    folder = cache / "recordings" / "lab"
    assert fetch_card(card, "day2") == {"facts.bin": folder / "facts.bin"}
    assert server.asked == ["/lab/v4.bin?facts"]
    assert fetch_card(card, "day1") == {
        "day1/v4.bin": folder / "day1" / "v4.bin",
        "facts.bin": folder / "facts.bin",
    }
    assert len(server.asked) == 2
    assert (folder / "day1" / "v4.bin").read_bytes() == CONTENT
