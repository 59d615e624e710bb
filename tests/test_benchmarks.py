"""Every benchmark at tiny sizes: it runs, its results agree with the peers', its rows say what they must."""

import importlib
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from brainalign.rules import RULES

ROOT = Path(__file__).resolve().parents[1]
FIELDS = {
    "id",
    "claim",
    "ours_s",
    "peer_s",
    "floor_s",
    "peak_mb",
    "ratio",
    "relation",
    "target",
    "holds",
}
FAMILIES = ("activity differences", "dendritic", "unsupervised", "neuromodulation")
RELAXING = {name for name, rule in RULES.items() if rule.family in FAMILIES}
"""Rules that settle or have phases."""

NOT_TIMED = {
    "reinforce": "a step is that of node_perturbation, with rewards for costs",
    "greedy_layerwise": "a step is one of backprop through fewer layers",
    "untrained": "takes no step",
}
"""Rules without a row, and why."""

IDS = {
    "rdm": {"rdm_rsatoolbox", "rdm_floor"},
    "pls": {"pls_sklearn"},
    "ridge": {"ridge_sklearn", "ridge_himalaya"},
    "bootstrap": {
        f"bootstrap_{method}" for method in ("cosine", "corr", "spearman", "tau_a", "cosine_cov", "corr_cov")
    },
    "resnet18": {"resnet18_forward"},
    "vgg16": {"vgg16_memory", "vgg16_floor", "vgg16_forward"},
    "wide": {"wide_memory"},
    "scaling": {"scaling_ten_metrics"},
    "training": {
        f"training_{name}"
        for name, rule in RULES.items()
        if not rule.of_time and name not in RELAXING and name not in NOT_TIMED
    }
    | {"training_local_sim:kernel=0", "training_local_predsim:kernel=0"},
    "relaxation": {
        "relaxation_equilibrium_propagation_loop",
        "relaxation_xcal_phases",
        "relaxation_stdp_pairs_phases",
        *(f"relaxation_{name}" for name in RELAXING),
    },
    "jpca": {"jpca_null"},
    "trajectory_cca": {"trajectory_cca_value", "trajectory_cca_chance"},
    "recurrent_rules": {f"recurrent_rules_{name}" for name in ("bptt", "rflo", "e_prop")},
    "sweep": {f"sweep_{what}" for what in ("workers", "overhead", "plan", "resume")},
}


@pytest.fixture
def benchmark(monkeypatch):
    """Import a module of the benchmarks, which are no package."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def in_this_process(monkeypatch, benchmark):
    """Let what would run in a process of its own run here, which saves the time to start one."""
    timing = benchmark("timing")

    def here(work, *given):
        run = timing.timed(lambda: work(lambda: None, *given))
        return timing.Measured(run.seconds, 0.0, run.result)

    def patch(script):
        # Not every script measures memory.
        monkeypatch.setattr(benchmark(script), "measured", here, raising=False)

    return patch


def run(*arguments, **environment):
    command = [sys.executable, "benchmarks/run.py", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def check_rows(records: list[dict], script: str) -> None:
    assert {record["id"] for record in records} == IDS[script]
    for record in records:
        assert set(record) == FIELDS
        assert record["id"].startswith(script)
        assert record["claim"].strip()
        expected = {
            ">=": lambda r: r["peer_s"] / r["ours_s"],
            "<=": lambda r: r["peak_mb"] if r["floor_s"] is None else r["ours_s"] / r["floor_s"],
        }[record["relation"]](record)
        assert record["ratio"] == pytest.approx(expected, rel=1e-12)
        assert record["ours_s"] > 0
        assert record["peak_mb"] is None or record["peak_mb"] >= 0
        above = record["ratio"] >= record["target"]
        below = record["ratio"] <= record["target"]
        assert record["holds"] is (above if record["relation"] == ">=" else below)


@pytest.mark.parametrize(
    "script",
    [
        *("pls", "ridge", "bootstrap", "resnet18", "wide", "training", "relaxation"),
        *("jpca", "trajectory_cca", "recurrent_rules"),
    ],
)
def test_a_script_gives_its_rows(script, benchmark, in_this_process):
    in_this_process(script)
    with warnings.catch_warnings():
        # What peers warn of while they work is theirs to mend.
        warnings.simplefilter("ignore")
        measured = benchmark(script).measure(small=True)
    curves = [each for each in measured if isinstance(each, benchmark("rows").Curve)]
    check_rows([each.as_record() for each in measured if each not in curves], script)
    assert all(each.id.startswith(f"{script}_") for each in curves)


def test_products_by_hand_and_solving_are_counted(benchmark):
    count, a = benchmark("multiply_adds").multiply_adds, torch.ones(3, 4)
    assert count(lambda: a @ a.T) == 36
    assert count(lambda: a.T @ a) == 48
    assert count(lambda: torch.linalg.solve(2 * torch.eye(6), torch.ones(3, 6), left=False)) == 180


def test_the_command_writes_rows_and_machine(tmp_path):
    figures, table = tmp_path / "figures.json", tmp_path / "table.md"
    # The processor that this names is not ours, and its kernels would slow NumPy or crash it.
    done = run("rdm", "--small", "--json", figures, "--markdown", table, OPENBLAS_CORETYPE="Prescott")
    assert done.returncode == 0, done.stderr
    content = json.loads(figures.read_text())
    check_rows(content["rows"], "rdm")
    machine = content["machine"]
    assert machine["cpu"] and machine["cores"] >= 1 and machine["threads"]["torch"] >= 1
    assert {"numpy", "torch", "scikit-learn", "rsatoolbox"} <= set(machine["versions"])
    assert not [name for name in machine["environment"] if name.startswith("OPENBLAS_CORE")]
    assert machine["small"] is True
    lines = table.read_text().splitlines()
    assert lines[0] == "| claim | ours | against | ratio | target | holds |"
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:4]] == [
        row["claim"] for row in content["rows"]
    ]
    assert "SMALL SIZES" in lines[-1] and "SMALL SIZES" in done.stdout


def test_figures_of_other_scripts_are_kept_where_the_machine_is_the_same(benchmark):
    report, rows = benchmark("report"), benchmark("rows")
    first = report.Report(small=True)
    first.replace("rdm", [rows.times_faster("rdm_x", "old", 2.0, 20.0, 10)])
    first.replace("pls", [rows.times_faster("pls_x", "kept", 2.0, 20.0, 10)])
    first.replace("scaling", [rows.Curve("scaling_x", "kept", "stimuli", [1, 2], [1.0, 2.0], 1.0)])
    second = report.Report(small=True)
    second.keep(first.json())
    second.replace("rdm", [rows.times_faster("rdm_x", "new", 2.0, 20.0, 10)])
    assert [(row.id, row.claim) for row in second.rows] == [("pls_x", "kept"), ("rdm_x", "new")]
    assert second.curves == first.curves
    other = report.Report(small=False)
    other.keep(first.json())
    assert not other.rows and not other.curves


def test_the_speed_table_of_the_readme_is_the_scripts_output(benchmark):
    figures = json.loads((ROOT / "benchmarks/speed.json").read_text())
    for script in IDS:
        check_rows([row for row in figures["rows"] if row["id"].startswith(f"{script}_")], script)
    report = benchmark("report").Report(small=False)
    report.machine = figures["machine"]
    report.keep(json.dumps(figures))
    written = report.markdown()
    assert (ROOT / "benchmarks/speed.md").read_text() == written
    assert written.partition("\n\n")[0] in (ROOT / "README.md").read_text()


def test_the_table_of_intervals_to_read_is_that_of_the_runs(benchmark):
    coverage = benchmark("coverage")
    table = pd.read_csv(ROOT / "benchmarks/coverage.csv")
    assert (ROOT / "benchmarks/coverage.md").read_text(encoding="utf-8") == coverage.in_markdown(table)
    cell = {"data": "SIMULATED", "metric": "cka", "n": 60, "quantity": "layer"}
    few, enough = (
        {"coverage": 0.9, "coverage_low": low, "coverage_high": high}
        for low, high in ((0.8, 0.95), (0.88, 0.92))
    )
    rows = [
        cell | few,
        cell | {"quantity": "equal"} | enough,
        cell | {"quantity": "difference", "coverage": np.nan},
    ]
    assert "| `cka` |  | 90.0 · – · **90.0** |  |  |  |  |" in coverage.in_markdown(pd.DataFrame(rows))


def test_an_unknown_script_is_bad_usage():
    done = run("rdms")
    assert done.returncode == 2
    assert "no script 'rdms'" in done.stderr and "rdm, pls, ridge" in done.stderr


@pytest.mark.slow
def test_all_scripts_run_in_processes_of_their_own(tmp_path):
    figures = tmp_path / "figures.json"
    done = run("--small", "--json", figures)
    assert done.returncode == 0, done.stderr
    content = json.loads(figures.read_text())
    for script in IDS:
        check_rows([row for row in content["rows"] if row["id"].startswith(f"{script}_")], script)
    assert len(content["rows"]) == sum(map(len, IDS.values()))
    for curve in content["curves"]:
        assert curve["id"].startswith(("scaling_", "recurrent_rules_"))
        assert len(curve["sizes"]) == len(curve["seconds"]) >= 2
        assert np.isfinite(curve["exponent"]) and curve["theory"] > 0


@pytest.mark.parametrize(
    ("make", "given", "ratio", "holds"),
    [
        ("times_faster", (2.0, 20.0, 10), 10.0, True),
        ("times_faster", (2.0, 19.0, 10), 9.5, False),
        ("times_floor", (3.0, 2.0, 1.5), 1.5, True),
        ("times_floor", (3.1, 2.0, 1.5), 1.55, False),
        ("megabytes", (3000.0, 3000), 3000.0, True),
        ("megabytes", (3001.0, 3000), 3001.0, False),
    ],
)
def test_a_row_holds_or_does_not(make, given, ratio, holds, benchmark):
    row = getattr(benchmark("rows"), make)("x", "claim", *given)
    assert row.ratio == pytest.approx(ratio)
    assert row.holds is holds


def test_a_curve_finds_its_exponent(benchmark):
    curve = benchmark("rows").Curve("x", "cubic", "stimuli", [10, 20, 50], [1e-3, 8e-3, 125e-3], 3.0)
    assert curve.exponent == pytest.approx(3.0)
    assert curve.as_record()["exponent"] == curve.exponent


@pytest.mark.parametrize("peer", [[1.0, 2.1], [1.0, np.nan]])
def test_results_that_differ_stop_a_benchmark(peer, benchmark):
    rows = benchmark("rows")
    rows.require_equal("x", [1.0, 2.0], [1.0, 2.0 + 1e-9], 1e-8)
    with pytest.raises(rows.DisagreementError, match="differ by"):
        rows.require_equal("x", [1.0, 2.0], peer, 1e-3)


def test_ways_are_timed_by_turns_and_the_best_is_kept(benchmark, monkeypatch):
    timing, order = benchmark("timing"), []
    clock = iter([0.0, 5.0, 5.0, 6.0, 6.0, 8.0, 8.0, 12.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    runs = timing.fastest(2, {"a": lambda: order.append("a"), "b": lambda: order.append("b")})
    assert order == ["a", "b", "a", "b"]
    assert {name: found.seconds for name, found in runs.items()} == {"a": 2.0, "b": 1.0}


@pytest.mark.slow
def test_memory_is_watched_in_a_process_of_its_own(benchmark):
    timing, rdm = benchmark("timing"), benchmark("rdm")
    found = timing.measured(rdm.alone, 2000, 100)
    # Its features take 0.8 MB; one square matrix of distances takes 32.
    assert 32 < found.peak_mb < 1000 and found.seconds > 0
    with pytest.raises(RuntimeError, match="ended with exit code 1"):
        timing.measured(rdm.alone, "many", 100)
