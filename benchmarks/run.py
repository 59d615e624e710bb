"""Measure brainalign against its peers and against what the machine allows.

``python benchmarks/run.py rdm pls ridge bootstrap vgg16 resnet18 scaling --json OUT`` runs the scripts
named, all of them if none is, each in a process of its own, so that no peer's threads or memory are in the
next one's way; the peers are in the extra ``[bench]``. Figures of other scripts that OUT holds from the same
machine and versions are kept.
"""

import argparse
import importlib
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from unittest.mock import patch

from brainalign.sweep.slurm import KEEPING_MEMORY

SCRIPTS = (
    "rdm",
    "pls",
    "ridge",
    "bootstrap",
    "resnet18",
    "vgg16",
    "wide",
    "scaling",
    "training",
    "relaxation",
    "sweep",
    "jpca",
    "trajectory_cca",
    "recurrent_rules",
)

SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Settings that hold OpenBLAS to kernels of another processor: they would slow NumPy, ours and peers' alike."""

AS_WORKERS = ("training",)
"""Scripts whose process keeps the memory that it frees, as workers of experiments do, for ours and the peer."""


def main() -> None:
    """Run the scripts, show the table, write what was asked for."""
    parser = argparse.ArgumentParser(description="Measure brainalign against its peers and the machine.")
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help=f"of {', '.join(SCRIPTS)}; default: all")
    parser.add_argument("--json", type=Path, help="write the figures here, after each script")
    parser.add_argument("--markdown", type=Path, help="write the table here")
    parser.add_argument("--small", action="store_true", help="tiny sizes: runs everything, shows no speed")
    options = parser.parse_args()
    unknown = sorted(set(options.scripts) - set(SCRIPTS))
    if unknown:
        parser.error(f"there is no script {unknown[0]!r}; choose from {', '.join(SCRIPTS)}")
    _restart_without(SLOWING)
    # Scripts are found as benchmarks.NAME: by their bare names they would hide packages of the same name.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    os.environ["TQDM_DISABLE"] = "1"
    report = importlib.import_module("benchmarks.report")
    figures = report.Report(options.small)
    if options.json and options.json.exists():
        figures.keep(options.json.read_text())
    for name in dict.fromkeys(options.scripts or SCRIPTS):
        with report.working(name):
            figures.replace(name, _measured(name, options.small))
        if options.json:
            options.json.write_text(figures.json())
    figures.show()
    if options.markdown:
        options.markdown.write_text(figures.markdown())


def _measured(name: str, small: bool) -> list:
    """Run a script in a process of its own."""
    measure = importlib.import_module(f"benchmarks.{name}").measure
    settings = KEEPING_MEMORY if name in AS_WORKERS else {}
    spawn = multiprocessing.get_context("spawn")
    with patch.dict(os.environ, settings), ProcessPoolExecutor(1, mp_context=spawn) as alone:
        return alone.submit(measure, small).result()


def _restart_without(variables: tuple[str, ...]) -> None:
    """Start anew without these variables, which libraries read when they are loaded."""
    if any(name in os.environ for name in variables):
        kept = {name: value for name, value in os.environ.items() if name not in variables}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], kept)


if __name__ == "__main__":
    main()
