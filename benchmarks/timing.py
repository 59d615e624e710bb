"""Seconds and bytes: several ways of doing one thing, by turns; and one alone in a process of its own."""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import psutil

BETWEEN_SAMPLES = 0.002
"""Seconds between two looks at a process's memory."""


@dataclass(frozen=True)
class Timed:
    """Seconds that something took, and what it gave."""

    seconds: float
    result: Any


def timed(work: Callable[[], Any]) -> Timed:
    """Do something once."""
    began = time.perf_counter()
    result = work()
    return Timed(time.perf_counter() - began, result)


def fastest(repeats: int, ways: Mapping[str, Callable[[], Any]]) -> dict[str, Timed]:
    """Time each way by turns, so that what else the machine does meets all alike; keep each one's best."""
    runs: dict[str, list[Timed]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in ways.items():
            runs[name].append(timed(work))
    return {name: min(of_way, key=lambda run: run.seconds) for name, of_way in runs.items()}


@dataclass(frozen=True)
class Measured:
    """What a process of its own took and gave.

    Parameters
    ----------
    seconds
        From the start of what counts to its end.
    peak_mb
        Most resident memory between the two, above that at the start, in 10⁶ bytes.
    result
        What the work returned.
    """

    seconds: float
    peak_mb: float
    result: Any


def measured(work: Callable[..., Any], *given: Any) -> Measured:
    """Run ``work(start, *given)`` in a fresh process and watch its memory from when it calls ``start()``.

    Parameters
    ----------
    work
        A function of a module; what it does before ``start()`` is preparation and counts for nothing.
    given
        Arguments that can be pickled.
    """
    # A server that has imported the libraries and done nothing else gives each process a clean start.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["brainalign", "rsatoolbox.inference", "torchvision"])
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(there, work, given))
    process.start()
    there.close()
    try:
        here.recv()
        watched = psutil.Process(process.pid)
        before = peak = watched.memory_info().rss
        here.send("go")
        while not here.poll(BETWEEN_SAMPLES):
            peak = max(peak, watched.memory_info().rss)
        seconds, result = here.recv()
    except (EOFError, psutil.NoSuchProcess):
        process.join()
        raise RuntimeError(
            f"The process of {work.__module__}.{work.__qualname__} ended with exit code {process.exitcode}; "
            "what it says is above."
        ) from None
    process.join()
    return Measured(seconds, (peak - before) / 1e6, result)


def _run(parent: Connection, work: Callable[..., Any], given: tuple) -> None:
    began = 0.0

    def start() -> None:
        nonlocal began
        parent.send("ready")
        parent.recv()
        began = time.perf_counter()

    result = work(start, *given)
    parent.send((time.perf_counter() - began, result))
