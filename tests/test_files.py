"""Folders, writing whole or not at all, hashes."""

import errno
import hashlib
import multiprocessing
import os
import signal
import stat
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainalign.errors import BrainalignError
from brainalign.files import (
    cache_folder,
    content_hash,
    images_folder,
    mirror_folder,
    sha256_of,
    written_whole,
)


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "new"))
    assert cache_folder() == tmp_path / "new"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BRAINALIGN_CACHE", "~/cache")
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("BRAINALIGN_CACHE")
    assert "brainalign" in str(cache_folder())


@pytest.mark.parametrize(
    ("find", "variable"), [(mirror_folder, "BRAINALIGN_MIRROR"), (images_folder, "BRAINALIGN_IMAGES")]
)
def test_named_folders(find, variable, monkeypatch, tmp_path):
    monkeypatch.setenv(variable, str(tmp_path))
    assert find() == tmp_path
    monkeypatch.setenv(variable, "")
    assert find() is None
    monkeypatch.delenv(variable)
    assert find() is None
    monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    with pytest.raises(BrainalignError, match=f"{variable} names .*nowhere', which is no folder. Point it at"):
        find()


def test_written_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "table.csv"
    with written_whole(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".csv"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_written_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "usual").write_text("")
    with written_whole(tmp_path / "whole") as temporary:
        temporary.write_text("")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "whole")}
    assert len(modes) == 1


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError("bad")]
)
def test_failure_leaves_the_old_file_and_nothing_else(error, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(type(error)), written_whole(path) as temporary:
        temporary.write_text("ha")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def _write_on_a_full_disk(path: Path) -> None:
    with written_whole(path) as temporary, temporary.open("wb") as file:
        for _ in range(3):
            file.write(bytes(100_000))


def test_system_that_fails_the_write(tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    path = tmp_path / "array.npy"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            _write_on_a_full_disk(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def _write_half_and_hang(path: Path) -> None:
    with written_whole(path) as temporary:
        temporary.write_text("ha")
        time.sleep(60)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    victim = multiprocessing.get_context("fork").Process(target=_write_half_and_hang, args=(path,))
    victim.start()
    deadline = time.monotonic() + 30
    while not any(part.stat().st_size for part in tmp_path.glob(".part-*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.join(30)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith(".part-")] == ["table.csv"]
    with written_whole(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_sha256_of(tmp_path):
    content = os.urandom(200_000)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


parts = st.lists(st.text(max_size=4) | st.binary(max_size=4), max_size=4)


@given(parts, parts)
def test_hashes_agree_only_for_the_same_parts(first, second):
    same = [(type(part), part) for part in first] == [(type(part), part) for part in second]
    assert (content_hash(*first) == content_hash(*second)) == same


def test_hash_tells_arrays_apart():
    array = np.arange(6, dtype=np.float64)
    different = [
        array,
        array.reshape(2, 3),
        array.reshape(3, 2),
        array.astype(np.float32),
        array[::-1],
        array.tobytes(),
        np.zeros(0),
    ]
    assert len({content_hash(each) for each in different}) == len(different)
    assert content_hash(array.reshape(2, 3).T) == content_hash(np.ascontiguousarray(array.reshape(2, 3).T))
