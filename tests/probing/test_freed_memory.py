"""Freed memory is kept while a network is shown stimuli, and then given back; what users chose stays."""

import ctypes
import os
import platform
import subprocess
import sys
import textwrap
import threading
from unittest.mock import Mock

import pytest

from brainalign.probing.freed_memory import MMAP_THRESHOLD, TRIM_THRESHOLD, freed_memory_kept


def without_choices(environment):
    """Leave out what would set how memory is allocated, or put another allocator in the place of glibc's."""
    chosen = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
    return {name: value for name, value in environment.items() if not name.startswith(chosen)}


@pytest.fixture
def libc(monkeypatch):
    """Stand in for the C library of a Linux system whose user has chosen nothing."""
    for name in os.environ.keys() - without_choices(os.environ).keys():
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "platform", "linux")
    library = Mock(spec=["mallopt", "malloc_trim"])
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    return library


def thresholds(library):
    return {call.args[0]: call.args[1] for call in library.mallopt.call_args_list}


def enter():
    with freed_memory_kept():
        pass


def test_given_back_after_an_error_too(libc):
    with pytest.raises(RuntimeError, match="the network failed"), freed_memory_kept():
        inside = thresholds(libc)
        libc.malloc_trim.assert_not_called()
        raise RuntimeError("the network failed")
    assert inside == {TRIM_THRESHOLD: 2**31 - 1, MMAP_THRESHOLD: 2**25}
    assert thresholds(libc) == {TRIM_THRESHOLD: 2**26, MMAP_THRESHOLD: 2**25}
    libc.malloc_trim.assert_called_once_with(0)


@pytest.mark.parametrize(
    "name,value",
    [
        ("MALLOC_TRIM_THRESHOLD_", "1000000"),
        ("MALLOC_TOP_PAD_", "1000000"),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1000000"),
    ],
)
def test_what_users_chose_is_left(libc, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    enter()
    assert not libc.mock_calls


def test_tunables_that_are_not_of_memory(libc, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=2000")
    enter()
    assert libc.mock_calls


def test_outside_the_main_thread(libc):
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert not libc.mock_calls


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems(libc, monkeypatch, system):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(ctypes, "CDLL", Mock(side_effect=TypeError("no such library")))
    enter()


@pytest.mark.parametrize("functions", [["printf"], ["mallopt"]])
def test_other_c_libraries(libc, monkeypatch, functions):
    other = Mock(spec=functions)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: other)
    enter()
    assert not other.mock_calls


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_pages_are_not_cleared_anew_and_are_given_back():
    """Four blocks of 30 MB, freed again and again, are 29 000 pages to clear each time, or none."""
    script = """
        import resource, psutil
        import numpy as np
        from brainalign.probing.freed_memory import freed_memory_kept

        def batches(size=30_000_000):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(5):
                blocks = [np.ones(size, dtype=np.uint8) for _ in range(4)]
                del blocks
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        resident = psutil.Process().memory_info
        batches(20_000_000)
        start, bare = resident().rss, batches(20_000_000)
        with freed_memory_kept():
            batches()
            inside, kept = batches(), resident().rss - start
        print(bare, inside, kept, resident().rss - start, batches())
    """
    environment = without_choices(os.environ) | {"NUMPY_MADVISE_HUGEPAGE": "0"}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    bare, inside, kept, left, after = map(int, found.split())
    if bare == 0:
        pytest.skip("the system does not count the pages that it clears")
    assert inside < 0.1 * bare
    assert kept > 80e6
    assert left < 10e6
    assert after > 0.5 * bare
