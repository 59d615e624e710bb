"""Freed memory is kept while a network is shown stimuli, and then given back; what users chose stays."""

import ctypes
import os
import platform
import subprocess
import sys
import textwrap
from unittest.mock import Mock

import pytest

from brainalign.probing.freed_memory import (
    CHOSEN_BY_USERS,
    MMAP_THRESHOLD,
    TRIM_THRESHOLD,
    freed_memory_kept,
)


@pytest.fixture
def libc(monkeypatch):
    """Stand in for the C library of a Linux system whose user has chosen nothing."""
    for name in CHOSEN_BY_USERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    library = Mock(spec=["mallopt", "malloc_trim"])
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    return library


def thresholds(library):
    return {call.args[0]: call.args[1] for call in library.mallopt.call_args_list}


def test_given_back_after_an_error_too(libc):
    with pytest.raises(RuntimeError, match="the network failed"), freed_memory_kept():
        inside = thresholds(libc)
        libc.malloc_trim.assert_not_called()
        raise RuntimeError("the network failed")
    assert inside == {TRIM_THRESHOLD: 2**31 - 1, MMAP_THRESHOLD: 2**25}
    assert thresholds(libc) == {TRIM_THRESHOLD: 2**26, MMAP_THRESHOLD: 2**25}
    libc.malloc_trim.assert_called_once_with(0)


@pytest.mark.parametrize("name", CHOSEN_BY_USERS)
def test_what_users_chose_is_left(libc, monkeypatch, name):
    monkeypatch.setenv(name, "1000000")
    with freed_memory_kept():
        pass
    assert not libc.mock_calls


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_other_c_libraries(monkeypatch, system):
    for name in CHOSEN_BY_USERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Mock(spec=["printf"]))
    with freed_memory_kept():
        pass


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_pages_are_not_cleared_anew_and_are_given_back():
    """Four blocks of 30 MB, freed again and again, are 29 000 pages to clear each time, or none."""
    script = """
        import resource, psutil
        import numpy as np
        from brainalign.probing.freed_memory import freed_memory_kept

        def batches():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(5):
                blocks = [np.ones(30_000_000, dtype=np.uint8) for _ in range(4)]
                del blocks
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        resident = psutil.Process().memory_info
        batches()
        start, bare = resident().rss, batches()
        with freed_memory_kept():
            batches()
            inside, kept = batches(), resident().rss - start
        print(bare, inside, kept, resident().rss - start, batches())
    """
    environment = {name: value for name, value in os.environ.items() if name not in CHOSEN_BY_USERS}
    environment["NUMPY_MADVISE_HUGEPAGE"] = "0"
    command = [sys.executable, "-c", textwrap.dedent(script)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    bare, inside, kept, left, after = map(int, found.split())
    assert inside < 0.02 * bare
    assert kept > 80e6
    assert left < 10e6
    assert after == pytest.approx(bare, rel=0.3)
