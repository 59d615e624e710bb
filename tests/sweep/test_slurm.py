"""SLURM that is not there, or that refuses the workers' job; a real one is brought up by tests/slurm/run.sh."""

import pytest

from brainalign.errors import BrainalignError
from brainalign.sweep.slurm import start_slurm


def test_no_slurm_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        BrainalignError, match="sbatch, which is not on this machine's PATH. Call from a login node"
    ):
        start_slurm(1, tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_a_job_that_slurm_refuses_stops_with_its_reason(tmp_path, monkeypatch):
    command = tmp_path / "sbatch"
    command.write_text(
        "#!/bin/sh\n"
        'test "$1" = --test-only && grep -q \'export OMP_NUM_THREADS=1\' "$2" || exit 0\n'
        "echo 'sbatch: error: invalid partition specified: gpu' >&2; exit 1\n"
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(BrainalignError, match="refuses the workers' job: sbatch: error: invalid partition"):
        start_slurm(1, tmp_path)
