"""A small experiment, and the command as a process that can be killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

SMALL = """
name = "small"
networks = ["mlp:hidden=20"]
tasks = ["classification:digits"]
rules = ["backprop", "feedback_alignment"]
seeds = [0]
steps = 30
checkpoints = 3
evaluate_on = 100
recordings = ["simulated"]
metrics = ["rsa"]
resamples = 100
controls = false
"""


class Command:
    """`brainalign run` on a folder, in processes of its own."""

    def __init__(self, file: Path, workers: int = 2):
        self.file, self.workers = file, workers
        self.started: list[subprocess.Popen] = []

    def start(self, out: Path, *words: str) -> subprocess.Popen:
        where = words or ("--workers", str(self.workers))
        command = [sys.executable, "-c", "from brainalign.cli import main; main()"]
        process = subprocess.Popen(
            [*command, "run", str(self.file), "--out", str(out), *where],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env=os.environ | {"COLUMNS": "300"},
        )
        self.started.append(process)
        return process

    def run(self, out: Path, *words: str) -> tuple[int, str]:
        said, _ = self.start(out, *words).communicate(timeout=600)
        return self.started[-1].returncode, said

    def kill(self, process: subprocess.Popen) -> None:
        """Kill the command with all its workers, as a machine does that goes down."""
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def stop(self) -> None:
        for process in self.started:
            if process.poll() is None:
                self.kill(process)
            elif process.stdout is not None:
                process.stdout.close()

    def busy(self, process: subprocess.Popen) -> list[psutil.Process]:
        """Give the processes that do cells: children of the command that have loaded torch."""
        found = []
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                if child.memory_info().rss > 250e6:
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return found


@pytest.fixture(scope="session")
def wait_for():
    """Wait until a condition gives something, and give it."""

    def _wait(condition, seconds: float = 240.0):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = condition()
            if found:
                return found
            time.sleep(0.05)
        raise TimeoutError(f"nothing within {seconds} s")

    return _wait


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("experiment") / "small.toml"
    file.write_text(SMALL)
    return file


@pytest.fixture
def command(small) -> Iterator[Command]:
    made = Command(small)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def undisturbed(small, tmp_path_factory) -> Path:
    """The folder of a run that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "small"
    command = Command(small)
    started = time.monotonic()
    status, said = command.run(folder)
    assert status == 0, said
    assert "all 8 cells hold" in said
    (folder / ".seconds").write_text(f"{time.monotonic() - started:.1f}")
    return folder


TABLES = ("scores.csv", "scores.nc", "training.csv")


@pytest.fixture
def same_tables(undisturbed):
    """Hold a folder's tables against the undisturbed ones, byte by byte."""

    def _check(folder: Path) -> None:
        for name in TABLES:
            assert (folder / name).read_bytes() == (undisturbed / name).read_bytes(), name
        left = [path for path in folder.rglob(".part-*")]
        assert not left

    return _check
