"""The machine that figures were measured on."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch
from threadpoolctl import threadpool_info

LIBRARIES = (
    "brainalign",
    "numpy",
    "scipy",
    "torch",
    "torchvision",
    "scikit-learn",
    "rsatoolbox",
    "himalaya",
)

PREFIXES = ("OMP_", "MKL_", "OPENBLAS_")
"""Of the environment variables that change the speed of linear algebra."""


def machine() -> dict[str, Any]:
    """Describe processor, threads, libraries, and how busy the machine is at the start."""
    return {
        "cpu": _processor(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "threads": {"torch": torch.get_num_threads()} | _pools(),
        "environment": {name: os.environ[name] for name in sorted(os.environ) if name.startswith(PREFIXES)},
        "versions": {name: found for name in LIBRARIES if (found := _version(name))},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def _processor() -> str:
    table = Path("/proc/cpuinfo")
    if table.exists():
        for line in table.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _pools() -> dict[str, int]:
    """Threads of each library of linear algebra that is loaded."""
    return {
        f"{pool['internal_api']} {pool.get('version') or ''}".strip(): pool["num_threads"]
        for pool in threadpool_info()
    }


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
