"""Features on disk: as they were written, errors that say what to do, and nothing left behind."""

import contextlib
import errno
import os
import shutil
import signal

import numpy as np
import pytest

from brainalign.errors import BrainalignError
from brainalign.probing import spool
from brainalign.probing.gram_sums import BLOCK
from brainalign.probing.spool import Spooled, free_bytes, seconds_per_byte

N = 5


@pytest.fixture
def make(tmp_path):
    """Make spooled features, and close them in the end."""
    with contextlib.ExitStack() as stack:
        yield lambda width, folder=tmp_path, dtype="float32": stack.enter_context(
            contextlib.closing(Spooled(folder, N, width, np.dtype(dtype)))
        )


def features(width, dtype="float32"):
    return np.random.default_rng(width).normal(size=(N, width)).astype(dtype)


@pytest.mark.parametrize("width", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gives_back_what_was_written(make, tmp_path, width, dtype):
    whole = features(width, dtype)
    spooled = make(width, tmp_path / "new" / "folder", dtype)
    for row in (3, 0):  # in any order, and twice
        spooled.write(row, whole[row : row + 3])
    for _ in range(2):
        blocks = [(start, block.copy()) for start, block in spooled.blocks()]
        assert [start for start, _ in blocks] == list(range(0, width, BLOCK))
        np.testing.assert_array_equal(np.hstack([block for _, block in blocks]), whole)


def test_no_file_is_seen_at_any_time(make, tmp_path):
    spooled = make(BLOCK)
    spooled.write(0, features(BLOCK))
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_noticed_at_once(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(BrainalignError, match=r"8.19e-05 GB cannot be spooled to .*No space left.*Make room"):
        Spooled(tmp_path, N, BLOCK, np.dtype("float32"))


def test_a_disk_that_fills_up_meanwhile(make):
    spooled = make(4 * BLOCK)

    class Full:
        def seek(self, _place):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    spooled.close()
    spooled._file = Full()
    with pytest.raises(BrainalignError, match="No space left"):
        spooled.write(0, features(4 * BLOCK))


def test_a_file_cut_short(make):
    spooled = make(2 * BLOCK)
    spooled.write(0, features(2 * BLOCK))
    spooled._file.flush()
    os.truncate(spooled._file.fileno(), 100)
    with pytest.raises(BrainalignError, match="has become shorter"):
        list(spooled.blocks())


def test_a_folder_that_vanishes_takes_nothing_away(make, tmp_path):
    """The file has no name that could vanish."""
    spooled = make(BLOCK, tmp_path / "spool")
    shutil.rmtree(tmp_path / "spool")
    spooled.write(0, features(BLOCK))
    np.testing.assert_array_equal(next(spooled.blocks())[1], features(BLOCK))


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BrainalignError, match="cannot be spooled to .*file/spool.*name another folder"):
        Spooled(tmp_path / "file" / "spool", N, BLOCK, np.dtype("float32"))


def test_rates_and_room(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "TRIAL_BYTES", 10**6)
    assert 0 < seconds_per_byte(tmp_path) < 1e-3
    assert not list(tmp_path.iterdir())
    usage = shutil.disk_usage(tmp_path)
    assert free_bytes(tmp_path / "not" / "there") == pytest.approx(usage.free, rel=0.1)


def test_a_process_killed_while_spooling_leaves_nothing(tmp_path, start):
    process = start(
        f"""
        import numpy as np, pathlib, sys
        from brainalign.probing.spool import Spooled
        spooled = Spooled(pathlib.Path({str(tmp_path)!r}), 5, 100000, np.dtype("float32"))
        spooled.write(0, np.ones((3, 100000), dtype=np.float32))
        print("written", flush=True)
        sys.stdin.read()
        """
    )
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list(tmp_path.iterdir())
