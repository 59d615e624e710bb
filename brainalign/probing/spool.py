"""Features that do not fit in memory, on disk for the length of a probe."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from brainalign.errors import BrainalignError
from brainalign.probing.gram_sums import BLOCK

TRIAL_BYTES = 64 * 1024**2


class Spooled:
    """Features of one output (n, width) in a file without a name, which no crash can leave behind.

    A block of columns lies in one stretch, so that each is read at once, rows in the order of stimuli.

    Raises
    ------
    BrainalignError
        A folder that cannot be made or written, or a disk that is full.
    """

    def __init__(self, folder: Path, n_stimuli: int, width: int, dtype: np.dtype):
        self._folder, self._n, self._width, self._dtype = folder, n_stimuli, width, dtype
        with self._explained():
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder, prefix="spool-")  # noqa: SIM115
        try:
            if hasattr(os, "posix_fallocate"):
                # A disk without the room says so now, not after an hour of showing stimuli.
                with self._explained():
                    os.posix_fallocate(self._file.fileno(), 0, n_stimuli * width * dtype.itemsize)
        except BrainalignError:
            self._file.close()
            raise

    def write(self, row: int, features: np.ndarray) -> None:
        """Write the features (batch, width) of the stimuli from `row` on."""
        with self._explained():
            for start, stop in self._bounds():
                self._seek(start, row, stop - start)
                self._file.write(np.ascontiguousarray(features[:, start:stop], dtype=self._dtype).data)

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Give each block of columns (n, column) with its first column; the second next overwrites it."""
        buffers = np.empty((2, self._n * min(BLOCK, self._width)), self._dtype)
        for turn, (start, stop) in enumerate(self._bounds()):
            block = buffers[turn % 2, : self._n * (stop - start)]
            with self._explained():
                self._seek(start, 0, stop - start)
                if self._file.readinto(block.data) != block.nbytes:
                    raise OSError("the file has become shorter")
            yield start, block.reshape(self._n, stop - start)

    def close(self) -> None:
        """Give the room on the disk back; what could not be written yet no longer matters."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _bounds(self) -> Iterator[tuple[int, int]]:
        for start in range(0, self._width, BLOCK):
            yield start, min(start + BLOCK, self._width)

    def _seek(self, start: int, row: int, columns: int) -> None:
        self._file.seek((self._n * start + row * columns) * self._dtype.itemsize)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            size = self._n * self._width * self._dtype.itemsize
            raise BrainalignError(
                f"Features of {size / 1e9:.3g} GB cannot be spooled to {str(self._folder)!r}: "
                f"{error.strerror or error}. Make room there, name another folder to spool to, raise the "
                "memory, or name fewer layers."
            ) from error


def free_bytes(folder: Path) -> int:
    """Count the bytes free on the disk on which a folder is or would be made."""
    existing = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    return shutil.disk_usage(existing).free


def seconds_per_byte(folder: Path) -> float:
    """Measure how long it takes to spool one byte and read it back.

    Raises
    ------
    BrainalignError
        As `Spooled`.
    """
    columns = 8 * BLOCK
    n = max(1, TRIAL_BYTES // (4 * columns))
    features = np.ones((n, columns), dtype=np.float32)
    started = time.perf_counter()
    with contextlib.closing(Spooled(folder, n, columns, features.dtype)) as spooled:
        spooled.write(0, features)
        for _ in spooled.blocks():
            pass
    return (time.perf_counter() - started) / features.nbytes
