"""Workers as SLURM jobs."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from dask import config
from distributed import SpecCluster

from brainalign.errors import BrainalignError

# Workers keep the memory that they free. Dask has it given back, which doubles a training step's time.
KEEPING_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "33554432"}

ENVIRONMENT = {
    # One thread a cell, so that its bytes depend on nothing else that runs.
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")},
    **KEEPING_MEMORY,
}
"""What every worker's environment holds, wherever it runs."""


def start_slurm(workers: int | None, folder: Path) -> SpecCluster:
    """Start jobs; queue, account, memory and time are Dask's to know (``jobqueue.slurm``).

    Raises
    ------
    BrainalignError
        There is no SLURM or no dask-jobqueue, or SLURM refuses such a job.
    """
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError as error:
        raise BrainalignError(
            "--slurm needs the package dask-jobqueue: pip install 'brainalign[slurm]'."
        ) from error
    if shutil.which("sbatch") is None:
        raise BrainalignError(
            "--slurm needs SLURM's command sbatch, which is not on this machine's PATH. Call from a login "
            "node, or leave --slurm out to work here."
        )
    settings = config.get("jobqueue.slurm", {})
    cores = settings.get("cores") or 1
    cluster = SLURMCluster(
        cores=cores,
        processes=cores,
        memory=settings.get("memory") or "4GB",
        log_directory=settings.get("log-directory") or str(folder / "slurm"),
        scheduler_options={"dashboard_address": ":0"} | (settings.get("scheduler-options") or {}),
        job_script_prologue=[
            *(settings.get("job-script-prologue") or []),
            *(f"export {name}={value}" for name, value in ENVIRONMENT.items()),
        ],
    )
    try:
        _check(cluster.job_script())
    except BrainalignError:
        cluster.close()
        raise
    # As many as wanted, and a new job for each that comes to the end of its time.
    cluster.adapt(minimum_jobs=workers or 1, maximum_jobs=workers or 1)
    return cluster


def _check(script: str) -> None:
    """Ask SLURM whether it would take a job; Dask would wait for ever for one that is refused."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(script)
        file.flush()
        asked = subprocess.run(
            ["sbatch", "--test-only", file.name], capture_output=True, text=True, check=False
        )
    if asked.returncode:
        reason = asked.stderr.strip() or asked.stdout.strip()
        raise BrainalignError(
            f"SLURM refuses the workers' job: {reason}. Set the queue, account, memory and time in Dask's "
            "configuration (jobqueue.slurm; see docs/slurm.md)."
        )
