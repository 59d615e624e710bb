r"""Targets and velocities decoded from single trials of motor cortex, and from networks made as noisy.

``python analyses/motor_cortex/decode.py FOLDER`` (FOLDER: what ``brainalign run`` left of experiment.toml)

Networks do not vary from trial to trial. As many of their units as were recorded, drawn at random, are shifted
to be non-negative and scaled to the mean counts of recorded units; trials are then drawn about them,
:math:`f \cdot \mathrm{Poisson}(\mu / f)`, with f the median over recorded units of variance over mean within
a condition (Fano factor). Written to ``decoding.csv`` beside this file.
"""

import os
import sys
import tomllib
from collections.abc import Iterator
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import xarray as xr

import brainalign as ba
from brainalign.compare.conditions import Courses, courses_of, event_of
from brainalign.metrics.kalman import KalmanDecoder
from brainalign.metrics.neural_decoding import target_decoding
from brainalign.metrics.participation_ratio import ParticipationRatioKernel
from brainalign.metrics.velocity_decoding import RidgeDecoder, velocity_decoding
from brainalign.rules import find_rule, rule_name
from brainalign.training import Checkpoint, Run

HERE = Path(__file__).parent
OF_TARGETS = ("yu2009/delay", "hatsopoulos2004")
CURSOR = "hennig2018/block1"
BIN, N_TRIALS, N_SHUFFLED = 0.045, 12, 20
"""Seconds of a bin of hennig2018; trials a direction drawn of a network; shuffles of a control."""
DECODERS = {"ridge": RidgeDecoder(), "Kalman filter": KalmanDecoder()}

EXPERIMENT = tomllib.loads((HERE / "experiment.toml").read_text())
STEPS = EXPERIMENT["steps"]

Array = np.ndarray
Rows = Iterator[dict]


def main() -> None:
    """Decode the recordings, then every run before and after learning."""
    rows = [{"network": "recording"} | row for row in recorded()]
    for (rule, seed), run in trained(Path(sys.argv[1])).items():
        for step in (0, STEPS):
            labels = {"network": "rnn", "rule": rule, "seed": seed, "checkpoint": step}
            rows += [labels | row for row in of_network(run, step)]
    table = pd.DataFrame(rows)
    columns = ["recording", "measure", "network", "rule", "seed", "checkpoint", "value", "shuffled"]
    table = table[columns].sort_values(columns[:-2], kind="stable")
    table.to_csv(HERE / "decoding.csv", index=False, float_format="%.4g")
    print(table.groupby(columns[:4] + ["checkpoint"], dropna=False)["value"].agg(["mean", "std"]).round(3))


def trained(folder: Path) -> dict[tuple[str, int], Run]:
    """Find the experiment's runs by rule and seed; those of the search are shorter."""
    rules = {rule_name(find_rule(rule)) for rule in EXPERIMENT["rules"]}
    found = {}
    for file in sorted(folder.glob("runs/*/run.toml")):
        made = tomllib.loads(file.read_text())
        if made["steps"] == STEPS and made["rule"] in rules:
            found[made["rule"], made["seed"]] = Run.open(file.parent)
    return found


def recorded() -> Rows:
    """Decode the recordings themselves."""
    for name in OF_TARGETS:
        region = only_region(name)
        yield from single_trials(name, windows(region), region["stimulus"].values, np.random.default_rng(0))
    yield from movements(*of_cursor(), np.random.default_rng(0))


def of_network(run: Run, step: int) -> Rows:
    """Decode a network's checkpoint as if its units had been recorded."""
    (network,) = run.checkpoints([step])
    for name in OF_TARGETS:
        region, rng = only_region(name), np.random.default_rng(network.seed)
        means = mean_counts(network, name, region)
        yield from single_trials(name, noisy(means, region, rng), region["stimulus"].values, rng)
    rng = np.random.default_rng(network.seed)
    yield from movements(*of_hand(network, rng), rng)


def only_region(name: str) -> xr.DataArray:
    """Give a recording's one region."""
    (region,) = ba.load_recording(name).responses.values()
    return region


def windows(region: xr.DataArray) -> Array:
    """Sum counts over a trial's window; shape (trial, unit)."""
    counts = region.sum("time") if "time" in region.dims else region
    return counts.transpose("trial", "unit").values.astype(float)


def single_trials(name: str, counts: Array, targets: Array, rng: np.random.Generator) -> Rows:
    """Decode targets, from counts and from their square roots, and count the dimensions of single trials."""
    for measure, values in (("target, counts", counts), ("target, square roots", np.sqrt(counts))):
        shuffled = [target_decoding(values, rng.permutation(targets), rng) for _ in range(N_SHUFFLED)]
        yield _row(name, measure, target_decoding(values, targets, rng), shuffled)
    dimensions = ParticipationRatioKernel().value(counts[:, None].repeat(2, axis=1), np.array([0.0, 1.0]), rng)
    yield _row(name, "participation ratio of single trials", dimensions)


def mean_counts(network: Checkpoint, name: str, region: xr.DataArray) -> xr.DataArray:
    """Give the network's mean over the recording's window under each condition (stimulus, unit)."""
    recording = ba.load_recording(name)
    units = network.answers(recording.stimuli, event_of(recording))["units"]
    first, last = (region["time"].values[[0, -1]]) if "time" in region.dims else (0.0, np.inf)
    return units.sel(time=slice(first, last)).mean("time")


def noisy(means: xr.DataArray, region: xr.DataArray, rng: np.random.Generator) -> Array:
    """Draw the recording's trials about a network's means; shape (trial, unit)."""
    counts, labels = windows(region), region["stimulus"].values.astype(str)
    expected = as_counts(means.transpose("stimulus", "unit").values, counts.mean(axis=0), rng)
    row = {each: place for place, each in enumerate(means["stimulus"].values.astype(str))}
    return drawn(expected[[row[each] for each in labels]], fano(counts, labels), rng)


def as_counts(values: Array, recorded_means: Array, rng: np.random.Generator) -> Array:
    """Take as many units as were recorded, each from 0 up and with a recorded unit's mean (…, unit)."""
    units = rng.choice(values.shape[-1], len(recorded_means), replace=values.shape[-1] < len(recorded_means))
    flat = values[..., units].reshape(-1, len(units))
    raised = values[..., units] - flat.min(axis=0)
    mean = raised.reshape(flat.shape).mean(axis=0)
    return raised * np.divide(recorded_means, mean, out=np.zeros_like(mean), where=mean > 0)


def drawn(expected: Array, spread: float, rng: np.random.Generator) -> Array:
    """Draw counts whose variance is `spread` times their mean."""
    return spread * rng.poisson(expected / spread)


def fano(counts: Array, labels: Array) -> float:
    """Give the median over units of variance over mean within conditions."""
    groups = pd.DataFrame(counts).groupby(labels)
    within, mean = groups.var().mean().to_numpy(), counts.mean(axis=0)
    return float(np.median(within[mean > 0] / mean[mean > 0]))


def of_cursor() -> tuple[list[Array], dict[str, list[Array]]]:
    """Cut hennig2018 into stretches without a gap: counts, velocity after each bin, direction to the target."""
    recording = ba.load_recording(CURSOR)
    counts = only_region(CURSOR).transpose("trial", "unit").values.astype(float)
    assert recording.kinematics is not None
    moved = recording.kinematics.transpose("trial", "kinematic").values
    now, following = moved[:, :2], moved[:, 2:]
    gap = 1 + np.flatnonzero(np.abs(following[:-1] - now[1:]).max(axis=1) > 1e-6)
    aims = unit_vectors(np.deg2rad(only_region(CURSOR)["target_direction"].values.astype(float)))
    stretches = zip(*(np.split(each, gap) for each in (counts, following, aims)), strict=True)
    x, moved, aimed = zip(*(each for each in stretches if len(each[0]) > RidgeDecoder().n_bins), strict=True)
    return list(x), {"velocity": list(moved), "direction to the target": list(aimed)}


def unit_vectors(angles: Array) -> Array:
    """Give (cos, sin) of angles in radians."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def of_hand(network: Checkpoint, rng: np.random.Generator) -> tuple[list[Array], dict[str, list[Array]]]:
    """Draw trials of a network's movements in the recording's bins: the same of its hand and targets."""
    recording, region = ba.load_recording(CURSOR), only_region(CURSOR)
    answers = network.answers(recording.stimuli, "movement")
    units, hand = (binned(courses_of(answers[layer], layer)) for layer in ("units", "hand"))
    counts = windows(region)
    expected = as_counts(units, counts.mean(axis=0), rng)
    spread = fano(counts, region["stimulus"].values.astype(str))
    trials = [condition for condition in range(len(expected)) for _ in range(N_TRIALS)]
    angles = recording.stimuli.metadata.loc[list(map(str, answers["units"]["stimulus"].values)), "angle"]
    aims = unit_vectors(np.deg2rad(angles.to_numpy(dtype=float)))[:, None].repeat(hand.shape[1], axis=1)
    return [drawn(expected[c], spread, rng) for c in trials], {
        "velocity": [hand[c, :, 2:4] for c in trials],
        "direction to the target": [aims[c] for c in trials],
    }


def binned(courses: Courses) -> Array:
    """Average activity after the onset of movement over the recording's bins (condition, bin, unit)."""
    after = courses.between(0.0, courses.times[-1])
    n_bins = int((after.times[-1] - after.times[0]) / BIN)
    place = ((after.times - after.times[0]) / BIN).astype(int)
    return np.stack([after.values[:, place == each].mean(axis=1) for each in range(n_bins)], axis=1)


def movements(counts: list[Array], moved: dict[str, list[Array]], rng: np.random.Generator) -> Rows:
    """Decode what moved; the control pairs each stretch with the movement in another one."""
    other = rng.permutation(len(counts))
    for (what, values), (how, decoder) in product(moved.items(), DECODERS.items()):
        cut = [(x[: len(values[i])], values[i][: len(x)]) for x, i in zip(counts, other, strict=True)]
        control = velocity_decoding(decoder, *map(list, zip(*cut, strict=True)), rng)
        yield _row(CURSOR, f"{what}, {how}", velocity_decoding(decoder, counts, values, rng), [control])


def _row(recording: str, measure: str, value: float, shuffled: list[float] | None = None) -> dict:
    control = float(np.mean(shuffled)) if shuffled else np.nan
    return {"recording": recording, "measure": measure, "value": value, "shuffled": control}


if __name__ == "__main__":
    main()
