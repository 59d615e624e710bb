"""Real processes that are killed, starved and cut short: the tables end as if nothing had happened."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest


def cells_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("cells/*/*.json"))


def scored_in(folder: Path) -> list[Path]:
    return [path for path in cells_in(folder) if b'"stimuli"' in path.read_bytes()]


def kill_at(command, folder: Path, moments: list[float]) -> None:
    """Start the command again and again, and kill it after so many seconds; let it end at last."""
    for moment in moments:
        process = command.start(folder, "--workers", "1")
        time.sleep(moment)
        if process.poll() is None:
            command.kill(process)
    status, said = command.run(folder)
    assert status == 0, said


def test_killed_at_random_moments(command, undisturbed, tmp_path, same_tables):
    duration = float((undisturbed / ".seconds").read_text())
    generator = random.Random(1)
    kill_at(command, tmp_path / "out", [generator.uniform(0.4, 0.95) * duration for _ in range(1)])
    same_tables(tmp_path / "out")


@pytest.mark.slow
def test_killed_at_thirty_random_moments(command, undisturbed, tmp_path, same_tables):
    duration = float((undisturbed / ".seconds").read_text())
    generator = random.Random(2)
    for round_ in range(6):
        kill_at(command, tmp_path / str(round_), [generator.uniform(0, 1) * duration for _ in range(5)])
        same_tables(tmp_path / str(round_))


def test_results_and_checkpoints_cut_short_or_gone(command, undisturbed, tmp_path, same_tables):
    folder = tmp_path / "out"
    shutil.copytree(undisturbed, folder)
    whole = scored_in(folder)
    os.truncate(whole[0], 100)
    # Scores whose checkpoints cannot be read, or are gone: the run must be gone on with first.
    for path in whole[1:]:
        path.unlink()
    checkpoints = sorted(folder.glob("runs/*/checkpoints/*.safetensors"))
    os.truncate(checkpoints[1], 50)
    checkpoints[-1].unlink()
    (folder / "scores.csv").unlink()
    status, said = command.run(folder)
    assert status == 0, said
    assert "1 results were not whole" in said
    assert "made again" in said
    same_tables(folder)


@pytest.mark.slow
def test_a_worker_is_killed(command, tmp_path, same_tables, wait_for):
    process = command.start(tmp_path / "out")
    for _ in range(2):
        before = len(cells_in(tmp_path / "out"))
        wait_for(lambda n=before: process.poll() is not None or len(cells_in(tmp_path / "out")) > n)
        for worker in command.busy(process)[:1]:
            worker.kill()
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    same_tables(tmp_path / "out")


@pytest.mark.slow
def test_two_runs_started_on_one_folder_at_once(command, tmp_path, same_tables):
    both = [command.start(tmp_path / "out") for _ in range(2)]
    said = [process.communicate(timeout=600)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("this one waits" in each for each in said) == 1
    assert sum("8 of them before" in each for each in said) == 1
    same_tables(tmp_path / "out")


@pytest.fixture
def dask(tmp_path):
    """Start a scheduler or a worker; kill what is left in the end."""
    started = []

    def _start(*words: str) -> subprocess.Popen:
        module = [sys.executable, "-m", "distributed.cli.dask_" + words[0]]
        log = (tmp_path / f"dask{len(started)}.log").open("w")
        process = subprocess.Popen([*module, *words[1:]], stdout=log, stderr=log, cwd=tmp_path)
        log.close()
        started.append(process)
        return process

    yield _start
    for process in started:
        if process.poll() is None:
            for each in [*psutil.Process(process.pid).children(recursive=True), process]:
                each.kill()
        process.wait()


@pytest.mark.slow
def test_the_scheduler_is_killed_and_started_again(command, dask, tmp_path, same_tables, wait_for):
    address, folder = "tcp://127.0.0.1:28786", tmp_path / "out"
    scheduler_words = ("scheduler", "--host", "127.0.0.1", "--port", "28786", "--dashboard-address", ":0")
    worker_words = ("worker", address, "--nthreads", "1", "--nworkers", "1", "--dashboard-address", ":0")
    scheduler, worker = dask(*scheduler_words), dask(*worker_words)
    process = command.start(folder, "--scheduler", address)
    wait_for(lambda: process.poll() is not None or len(cells_in(folder)) > 2)
    scheduler.kill()
    scheduler.wait()
    time.sleep(3)
    dask(*scheduler_words)
    if worker.poll() is not None:
        dask(*worker_words)
    else:
        time.sleep(5)
        dask(*worker_words)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    same_tables(folder)


@pytest.mark.slow
def test_the_disk_is_full(command, tmp_path, same_tables):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        status, said = command.run(disk / "out")
        assert status == 1
        assert "No space left" in said
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        status, said = command.run(disk / "out")
        assert status == 0, said
        same_tables(disk / "out")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_cell_that_fails_is_noted_while_the_rest_completes(command, tmp_path, undisturbed):
    file = tmp_path / "diverging.toml"
    rules = "\n[rules.backprop]\n[rules.feedback_alignment]\nlr = 1e30\n[search]\nrates = [1e30, 0.01, 0.1]\n"
    text = command.file.read_text().replace('rules = ["backprop", "feedback_alignment"]\n', "")
    file.write_text(text + rules + "steps = 10\nvalidation = 100\n")
    command.file = file
    status, said = command.run(tmp_path / "out")
    assert status == 1, said
    assert "4 of 11 cells failed" in said
    scores = pd.read_csv(tmp_path / "out" / "scores.csv")
    failed = scores[scores["note"].str.startswith("failed")]
    assert set(failed["rule"]) == {"feedback_alignment"}
    assert failed["note"].str.contains("DivergedError").all()
    assert scores.loc[scores["rule"] == "backprop", "raw"].notna().all()
    search = pd.read_csv(tmp_path / "out" / "search.csv")
    assert search.loc[search["chosen"], "lr"].isin([0.01, 0.1]).all()
    status, again = command.run(tmp_path / "out")
    assert status == 1, again
    assert "4 of 11 cells failed" in again


@pytest.mark.slow
def test_jobs_of_slurm_one_of_which_ends_early(command, tmp_path, same_tables, wait_for, monkeypatch):
    """A stand-in for SLURM: a command that starts what it is given, and one that stops it."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    scripts = {
        "sbatch": '#!/bin/bash\njob=$(mktemp)\ncp "${@: -1}" $job\n'
        'setsid bash $job >$job.log 2>&1 &\necho $! >>"$(dirname "$0")/jobs"\necho "Submitted batch job $!"\n',
        "scancel": "#!/bin/bash\nkill -- -$1 || true\n",
    }
    for name, text in scripts.items():
        (binaries / name).write_text(text)
        (binaries / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{binaries}:{os.environ['PATH']}")
    process = command.start(tmp_path / "out", "--slurm", "--workers", "1")
    wait_for(lambda: process.poll() is not None or len(cells_in(tmp_path / "out")) > 1)
    os.killpg(int((binaries / "jobs").read_text().split()[0]), signal.SIGKILL)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert len((binaries / "jobs").read_text().split()) > 1
    same_tables(tmp_path / "out")
