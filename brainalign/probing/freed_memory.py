"""Keep the memory that one batch frees for the next."""

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Iterator

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's settings in ``malloc.h``: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD."""

LARGEST_BLOCK = 2**25
"""Bytes of the largest blocks that are kept: the most that glibc comes to by itself."""

MOST_FREE = 2**31 - 1
"""Bytes: more than these are given back at once."""


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Have blocks of up to 32 MB, once freed, kept for the length of a block, and given back then.

    By itself, glibc gives them back to the system, which clears them again, page by page, for the next
    batch's activations: a fifth of a bare forward pass of ResNet-18 on two cores. Afterwards its settings
    are those that it comes to by itself once a block of 32 MB was freed, and stay so. Nothing is done under
    another C library, outside the main thread (whose memory alone would be kept), and where the environment
    sets how glibc allocates.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    known = hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")
    if not known or _chosen_by_user() or threading.current_thread() is not threading.main_thread():
        yield
        return
    try:
        libc.mallopt(MMAP_THRESHOLD, LARGEST_BLOCK)
        libc.mallopt(TRIM_THRESHOLD, MOST_FREE)
        yield
    finally:
        libc.mallopt(TRIM_THRESHOLD, 2 * LARGEST_BLOCK)
        libc.malloc_trim(0)


def _chosen_by_user() -> bool:
    by_name = any(name.startswith("MALLOC_") for name in os.environ)
    return by_name or "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "")
