"""Where cells run: a local cluster, a scheduler that is there already, or SLURM."""

import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from dask import config
from distributed import Client, LocalCluster, SpecCluster

from brainalign.errors import BrainalignError
from brainalign.sweep.slurm import ENVIRONMENT, start_slurm

CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Where:
    """Where cells run.

    Parameters
    ----------
    workers
        Processes (or SLURM jobs); one a core by default.
    scheduler
        Address of a running Dask scheduler.
    slurm
        Whether to start workers as SLURM jobs.
    """

    workers: int | None = None
    scheduler: str | None = None
    slurm: bool = False

    def __post_init__(self):
        if self.scheduler and (self.slurm or self.workers):
            raise BrainalignError("Give --scheduler alone: its workers are there already.")
        if self.workers is not None and self.workers < 1:
            raise BrainalignError(f"{self.workers} workers do nothing; give 1 or more.")


class Cluster:
    """A cluster that is started when the first cell needs it, and stopped in the end.

    Parameters
    ----------
    where
        Where cells run.
    folder
        The experiment's, where SLURM's jobs leave their logs.
    """

    def __init__(self, where: Where, folder: Path):
        self._where, self._folder = where, folder
        self._started: SpecCluster | None = None
        self._stack = contextlib.ExitStack()

    def connect(self) -> Client:
        """Make a client.

        Raises
        ------
        OSError
            The scheduler does not answer.
        """
        for name in ("distributed", "tornado", "bokeh"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if self._where.scheduler:
            return Client(self._where.scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
        if self._started is None:
            workers = self._where.workers
            self._started = start_slurm(workers, self._folder) if self._where.slurm else _local(workers)
            self._stack.callback(self._started.close)
        return Client(self._started, timeout=CONNECT_SECONDS, set_as_default=False)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def n_cores() -> int:
    """Give the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _local(workers: int | None) -> LocalCluster:
    with config.set({"distributed.nanny.pre-spawn-environ": ENVIRONMENT}):
        return LocalCluster(
            n_workers=workers or n_cores(),
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
