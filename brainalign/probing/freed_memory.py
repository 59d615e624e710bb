"""Keep the memory that a batch frees for the batch that follows."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Names of glibc's settings in ``malloc.h``: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD."""

LARGEST_MMAP_THRESHOLD = 2**25
"""Bytes; the most that glibc takes, and comes to by itself once a block as large was freed."""

CHOSEN_BY_USERS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables by which these settings are made; what they say is left as it is."""


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Have freed memory kept for the length of a block, and given back to the system then.

    By itself, glibc gives large blocks back when they are freed, and the system clears them again, page by
    page, for the next batch's activations: a fifth of a bare forward pass of ResNet-18 on two cores. Nothing
    is done under another C library. Afterwards the settings are those that glibc comes to by itself.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "mallopt") or any(name in os.environ for name in CHOSEN_BY_USERS):
        yield
        return
    libc.mallopt(MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
    libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        libc.mallopt(TRIM_THRESHOLD, 2 * LARGEST_MMAP_THRESHOLD)
        libc.malloc_trim(0)
