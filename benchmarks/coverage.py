"""Do 95 % intervals hold the truth? Coverage on simulated data, and on halves of a real recording.

``python benchmarks/coverage.py --metrics ridge rsa --n 200 --runs 500 --out benchmarks/coverage.csv``

SIMULATED: stimuli are drawn from a population, and answered by 50 units with the skew, noise, repeats,
reliability and dimensions of macaque V4 (cowley2023/210325), and by networks of two layers. In each run all
stimuli and all noise are new. The truth of a run is the mean value of all other runs: the expectation of the
statistic at that number of stimuli. Asked of each metric: does the interval of one layer hold it
(``layer``), of the layer committed on other stimuli (``committed``), of the difference between two networks at
their committed layers (``difference``), and of that between two networks equally good (``equal``: truth 0)?

``--halves``: real V4, the 640 stimuli parted at random into halves: does the interval of the difference
between the halves' values hold 0? This needs the recording (BRAINALIGN_MIRROR) and the extra ``[pretrained]``.

Runs are kept beside the table (``coverage.runs.csv``) and are never done twice, so the script can be killed,
and called again with more metrics, sizes or runs; rows of the table whose runs are not at hand stay. Any name
of the catalogue will do, options included. ``--tables`` does no run, and writes the table, and the one to read
(``coverage.md``), anew.
"""

import argparse
import csv
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import scipy.stats

from brainalign import Recording, Representation, StimulusSet, load_recording, make_responses
from brainalign.compare.commitment import commit
from brainalign.compare.comparison import Comparison, Outcome
from brainalign.compare.differences import Entry, paired_differences
from brainalign.compare.problems import make_problems
from brainalign.compare.resampling import interval
from brainalign.data import Provenance
from brainalign.metrics import Metric, find_metric

METRICS = (
    "ridge",
    "ridge_fixed",
    "pls",
    "pcr",
    "cka",
    "rsa",
    "rsa:rdm=euclidean,compare=pearson",
    "rsa:rdm=euclidean,compare=cosine",
    "rsa:rdm=squared_euclidean,compare=corr_cov",
    "rsa:rdm=crossnobis,compare=cosine",
    "rsa_weighted",
    "reverse_ridge",
    "procrustes",
    "svcca",
    "pwcca",
    "one_to_one",
    "soft_matching",
    "decoding",
)
SIZES = (30, 60, 100, 200, 400, 640)
QUANTITIES = ("layer", "committed", "difference", "equal")
RUNS = 500
SPARE_RESAMPLES = 300
"""Bootstrap samples of a run beyond the number of stimuli."""

REAL, REAL_REGION = "cowley2023/210325", "V4"
REAL_LAYERS = ("_blocks.4", "_blocks.8", "_blocks.12")
REAL_HALF, REAL_QUANTITIES = 320, ("halves", "halves committed")
HALVINGS = 200
WANTED = {"SIMULATED": (0.93, 0.97), REAL: (0.90, 0.99)}
SAMPLED = 100
"""Units of each layer for metrics that match single units."""

KEY = ("data", "metric", "n", "seed")
CELL = ["data", "metric", "n", "quantity"]
RUN_COLUMNS = (*KEY, "quantity", "value", "low", "high", "seconds")

N_LATENTS, N_UNITS, N_REPEATS, WIDTH = 20, 50, 8, 80
Runs = dict[tuple[str, str, int, int], list[dict]]


@dataclass(frozen=True)
class Draw:
    """Stimuli of one run: what the units answered, and the layers of each network."""

    recording: Recording
    networks: dict[str, list[Representation]]


def simulate(n: int, seed: int, with_repeats: bool) -> Draw:
    """Draw stimuli, and let units and networks answer them.

    Units: softplus of a random projection of 20 latent variables, Poisson counts with a gain that varies from
    trial to trial. Layers: rectified projections of the same latents, with noise of their own on each stimulus;
    networks ``good`` and ``twin`` have the same law, ``other`` has more noise. Each second layer is worse.
    """
    world = np.random.default_rng(2023)
    scale = np.arange(1, N_LATENTS + 1) ** -0.5 / np.sqrt(np.sum(1 / np.arange(1, N_LATENTS + 1)))
    tuning = world.normal(size=(N_LATENTS, N_UNITS))
    weights = world.normal(size=(2, N_LATENTS, WIDTH))
    generator = np.random.default_rng([seed, n])
    latents = generator.normal(size=(n, N_LATENTS)) * scale
    rates = np.log1p(np.exp(1.6 + 1.45 * latents @ tuning))
    gain = generator.gamma(20.0, 1 / 20, size=(n, 1, N_REPEATS))
    counts = generator.poisson(rates[:, :, None] * gain).astype(float)
    ids = [f"s{i:04d}" for i in range(n)]
    networks = {}
    for name, noise in {"good": 1.0, "twin": 1.0, "other": 1.5}.items():
        layers = []
        for place, (own, worse) in enumerate(zip(weights, (1.0, 2.5), strict=True)):
            drive = latents @ own + worse * noise * generator.normal(size=(n, WIDTH))
            features = np.maximum(drive, 0).astype(np.float32)
            layers.append(Representation.from_features(features, ids, f"layer{place}", keep=True))
        networks[name] = layers
    # Four classes of stimuli, for metrics that decode labels.
    classes = [f"class{a}{b}" for a, b in (latents[:, :2] > 0).astype(int)]
    return Draw(_recording(counts, ids, classes, with_repeats), networks)


def _recording(counts: np.ndarray, ids: list[str], classes: list[str], with_repeats: bool) -> Recording:
    metadata = pd.DataFrame({"category": classes}, index=pd.Index(ids, name="stimulus", dtype=object))
    dims = ("stimulus", "unit", "repeat") if with_repeats else ("stimulus", "unit")
    values = counts if with_repeats else counts.mean(axis=2)
    region = make_responses(values, ids, region="V4", subject="simulated", dims=dims)
    stimuli = StimulusSet("simulated", metadata)
    return Recording("simulated", stimuli, {"V4": region}, provenance=Provenance(simulated=True))


def with_labels(metric: str) -> Metric:
    """Find a metric; one that decodes labels decodes the simulated ones."""
    found = find_metric(metric)
    if "label" in found.options and ":label=" not in metric and ",label=" not in metric:
        return find_metric(f"{metric}{',' if ':' in metric else ':'}label=category")
    return found


def compared(
    metric: Metric, recording: Recording, n_resamples: int, seed: int, layers: list[list[Representation]]
) -> tuple[Comparison, list[tuple[Outcome, Outcome]]]:
    """Give, for each network, the outcome of its first layer, or of all together, and the committed one."""
    problem = make_problems(recording, [metric], n_resamples, seed)[0]
    if problem.comparison is None:
        raise SystemExit(f"{metric.name}: {problem.unmet}")
    aligned = [
        [layer.select(problem.comparison.facts.stimuli) for layer in of_network] for of_network in layers
    ]
    if metric.family.startswith("joint"):
        of_networks = [problem.comparison.outcomes(of_network) for of_network in aligned]
    else:
        # What concerns the recording alone is then worked out once for all networks.
        outcomes = iter(problem.comparison.outcomes([layer for of_network in aligned for layer in of_network]))
        of_networks = [[next(outcomes) for _ in of_network] for of_network in aligned]
    found = []
    for of_network, outcomes in zip(layers, of_networks, strict=True):
        names = [layer.layer for layer in of_network][: len(outcomes)]
        found.append((outcomes[0], commit(outcomes, names, problem.comparison.resamples)))
    return problem.comparison, found


def simulated_run(metric: str, n: int, seed: int, n_resamples: int) -> dict[str, tuple[float, float, float]]:
    """Value and interval of each quantity in one run."""
    chosen = with_labels(metric)
    draw = simulate(n, seed, "repeats" in chosen.needs)
    comparison, found = compared(
        chosen, draw.recording, n_resamples, seed, [draw.networks[name] for name in ("good", "twin", "other")]
    )
    resamples = comparison.resamples
    values = {}
    for quantity, outcome in zip(("layer", "committed"), found[0], strict=True):
        low, high = interval(outcome.raw, *resamples.variance(outcome.replicates))
        values[quantity] = (outcome.raw, low, high)
    entries = [Entry(name, -1, best) for name, (_, best) in zip(("good", "twin", "other"), found, strict=True)]
    pairs = paired_differences(entries, resamples).set_index("other")
    pairs = pairs[pairs["network"] == "good"]
    for quantity, other in (("equal", "twin"), ("difference", "other")):
        values[quantity] = tuple(pairs.loc[other, ["difference", "low", "high"]].astype(float))
    return values


@cache
def real_layers(of_single_units: bool) -> list[Representation]:
    """Show the real stimuli: layers whole, or `SAMPLED` units of each with their features."""
    from brainalign import load_network, probe

    stimuli = load_recording(REAL).stimuli
    assert stimuli is not None
    reduction = f"sample:{SAMPLED}" if of_single_units else "whole"
    network, names = load_network("efficientnet-lite0"), list(REAL_LAYERS)
    return list(probe(network, stimuli, names, reduction=reduction, keep_features=of_single_units).values())


class Halves:
    """The real recording, and the comparison of a network's layers with random halves of it."""

    def __init__(self):
        self.recording = load_recording(REAL)
        self.ids = sorted(self.recording[REAL_REGION]["stimulus"].values.tolist())

    def run(self, metric: str, n: int, seed: int, n_resamples: int) -> dict[str, tuple[float, float, float]]:
        """Difference of two disjoint halves of n stimuli, for the first layer and the committed one."""
        order = np.random.default_rng(seed).permutation(self.ids)
        chosen = find_metric(metric)
        values: list[list[tuple[float, float, float]]] = []
        for half in (order[:n], order[n : 2 * n]):
            recording = self._half(sorted(half.tolist()), "repeats" in chosen.needs)
            layers = real_layers("features" in chosen.needs)
            comparison, found = compared(chosen, recording, n_resamples, seed, [layers])
            of_half = [(each.raw, *comparison.resamples.variance(each.replicates)) for each in found[0]]
            values.append(of_half)
        found = {}
        for quantity, (x, v, dof), (y, w, _) in zip(REAL_QUANTITIES, *values, strict=True):
            # Halves of one size: Welch's degrees of freedom of two independent variances.
            found[quantity] = (x - y, *interval(x - y, v + w, dof * (v + w) ** 2 / (v**2 + w**2)))
        return found

    def _half(self, ids: Sequence[str], with_repeats: bool) -> Recording:
        region = self.recording[REAL_REGION]
        region = region.isel(stimulus=[list(region["stimulus"].values).index(i) for i in ids])
        if not with_repeats and "repeat" in region.dims:
            region = region.mean("repeat", skipna=True, keep_attrs=True)
        return Recording(self.recording.name, self.recording.stimuli, {REAL_REGION: region})


def known_runs(path: Path) -> Runs:
    """Read the runs that were done; a line cut short by a kill is none."""
    found: Runs = {}
    if path.exists():
        with path.open(newline="") as stored:
            for row in csv.DictReader(stored):
                if None not in row.values() and None not in row:
                    found.setdefault((row["data"], row["metric"], int(row["n"]), int(row["seed"])), []).append(
                        row
                    )
    return found


def add_run(path: Path, key: tuple, values: dict[str, tuple[float, float, float]], seconds: float) -> None:
    """Append a run in one write."""
    lines = "" if path.exists() else ",".join(RUN_COLUMNS) + "\n"
    for quantity, (value, low, high) in values.items():
        data, metric, n, seed = key
        numbers = f"{value:.10g},{low:.10g},{high:.10g},{seconds:.3g}"
        lines += f'{data},"{metric}",{n},{seed},{quantity},{numbers}\n'
    with path.open("a") as stored:
        stored.write(lines)


def summarise(path: Path) -> pd.DataFrame:
    """Count for each quantity how many intervals hold its truth, with the count's own 95 % interval.

    Runs without an interval are counted in `undefined` and left out of all else.
    """
    if not path.exists():
        return pd.DataFrame(columns=CELL)
    runs = pd.read_csv(path, on_bad_lines="skip").drop_duplicates([*KEY, "quantity"])
    rows = []
    for _, cell in runs.groupby(CELL, sort=False):
        value, low, high = cell[["value", "low", "high"]].dropna().to_numpy(dtype=float).T
        if cell["quantity"].iloc[0] in ("equal", *REAL_QUANTITIES):
            truth = np.zeros(len(value))
        else:
            truth = (value.sum() - value) / max(len(value) - 1, 1)
        held = (low <= truth) & (truth <= high)
        row: dict[str, object] = {name: cell[name].iloc[0] for name in CELL}
        row |= {"runs": len(cell), "undefined": len(cell) - len(value)}
        if len(value) > 1:
            exact = scipy.stats.binomtest(int(held.sum()), len(held)).proportion_ci()
            row |= {
                "truth": truth.mean(),
                "sd": value.std(ddof=1),
                "mean_half_width": (high - low).mean() / 2,
                "coverage": held.mean(),
                "coverage_low": exact.low,
                "coverage_high": exact.high,
            }
        rows.append(row | {"seconds": cell["seconds"].mean()})
    return pd.DataFrame(rows)


def merged(table: pd.DataFrame, out: Path) -> pd.DataFrame:
    """Add the rows of a table written before whose runs are not at hand."""
    if not out.exists():
        return table
    parts = [part for part in (table, pd.read_csv(out)) if len(part)]
    both = pd.concat(parts, ignore_index=True).drop_duplicates(CELL)
    return both.sort_values(by=["data", "metric", "n"], kind="stable", ignore_index=True)


def in_markdown(table: pd.DataFrame) -> str:
    """Lay out the shares of intervals that hold the truth, in per cent: a row a metric, a column a size."""
    shares = {tuple(row[name] for name in CELL): _share(row) for row in table.to_dict("records")}
    lines = [
        f"Per cent of 95 % intervals that hold the truth: {' · '.join(QUANTITIES)};",
        "on real data, of a layer and of the committed one.",
        "In bold: surely outside what is wanted. –: no interval. Empty: not run.",
    ]
    for data, sizes, quantities in (("SIMULATED", SIZES, QUANTITIES), (REAL, (REAL_HALF,), REAL_QUANTITIES)):
        low, high = WANTED[data]
        lines += ["", f"{data}, {100 * low:.0f} to {100 * high:.0f} wanted:", ""]
        lines += [f"| stimuli | {' | '.join(map(str, sizes))} |", "| --- " * (1 + len(sizes)) + "|"]
        known = dict.fromkeys(metric for of, metric, _, _ in shares if of == data)
        others = [metric for metric in known if metric not in METRICS]
        for metric in [*(metric for metric in METRICS if metric in known), *others]:
            cells = [
                " · ".join(shares[key] for each in quantities if (key := (data, metric, n, each)) in shares)
                for n in sizes
            ]
            lines.append(f"| `{metric}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _share(row: dict) -> str:
    if np.isnan(row.get("coverage", np.nan)):
        return "–"
    low, high = WANTED[row["data"]]
    mark = "**" if row["coverage_low"] > high or row["coverage_high"] < low else ""
    return f"{mark}{100 * row['coverage']:.1f}{mark}"


def todo(options: argparse.Namespace, known: Runs) -> Iterator[tuple[str, str, int, int]]:
    """Give the runs that are still to be done, sizes first, then metrics."""
    data = REAL if options.halves else "SIMULATED"
    for n in options.n:
        for metric in options.metrics:
            for seed in range(options.runs):
                if (data, metric, n, seed) not in known:
                    yield data, metric, n, seed


def main() -> None:
    """Do the runs that are missing, and write the table after each cell of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--metrics", nargs="+", default=METRICS)
    parser.add_argument("--n", nargs="+", type=int, help="numbers of stimuli; with --halves of each half")
    parser.add_argument("--runs", type=int, help=f"default {RUNS}, with --halves {HALVINGS}")
    parser.add_argument("--resamples", type=int, help=f"default n + {SPARE_RESAMPLES}")
    parser.add_argument("--halves", action="store_true", help="halves of the real recording")
    parser.add_argument("--tables", action="store_true", help="do no run, write the tables anew")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    options.n = options.n or ([REAL_HALF] if options.halves else SIZES)
    options.runs = options.runs or (HALVINGS if options.halves else RUNS)
    if options.tables:
        return _report(options.out.with_suffix(".runs.csv"), options.out, None)
    store, cell, halves = options.out.with_suffix(".runs.csv"), None, Halves() if options.halves else None
    for key in todo(options, known_runs(store)):
        _, metric, n, seed = key
        if cell not in (None, key[:3]):
            _report(store, options.out, cell)
        cell, started = key[:3], time.perf_counter()
        run = simulated_run if halves is None else halves.run
        values = run(metric, n, seed, options.resamples or n + SPARE_RESAMPLES)
        add_run(store, key, values, time.perf_counter() - started)
        if seed % 50 == 49:
            print(f"{metric} n={n}: {seed + 1} of {options.runs} runs", flush=True)
    _report(store, options.out, cell)


def _report(store: Path, out: Path, cell: tuple | None) -> None:
    """Write the table, and print the rows of one cell."""
    table = merged(summarise(store), out).round(5)
    table.to_csv(out, index=False)
    out.with_suffix(".md").write_text(in_markdown(table), encoding="utf-8")
    if cell is not None:
        chosen = table[(table["data"] == cell[0]) & (table["metric"] == cell[1]) & (table["n"] == cell[2])]
        print(chosen.round(4).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
