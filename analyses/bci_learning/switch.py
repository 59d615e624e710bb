"""Learn a switched decoder by errors or by reward, and ask the flow field by which.

``python analyses/bci_learning/switch.py --out runs`` (two minutes of a core; goes on where it was stopped)

A recurrent network learns to move a cursor, by backprop. A decoder of its rates takes the place of its
read-out and is then perturbed within the network's manifold or outside it, matched in open-loop difficulty.
The recurrent weights alone learn under the perturbed decoder: by errors through the decoder itself, by errors
through a biased internal model of it, half-way to the decoder that was in use before, or by reward.
"""

import argparse
import os
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.stats
import torch

import brainalign as ba
from brainalign.figures.style import COLOURS, STYLE
from brainalign.networks.recurrent import RecurrentNetwork
from brainalign.tasks.bci_cursor import BCICursor, with_decoder
from brainalign.tasks.bci_decoders import (
    PERTURBATIONS,
    ManifoldDecoder,
    Perturbation,
    choose_perturbation,
    fit_manifold_decoder,
)
from brainalign.trajectory.flow_field import UNDECIDED, flow_field_test
from brainalign.trajectory.noisy_trials import record_trials

HERE = Path(__file__).parent
TASK = BCICursor(batch_size=16, dt=0.02)
NETWORK, PRETRAINING, STEPS = "rnn:units=64", 400, 200
CHECKPOINTS = [0, 10, 25, 50, 100, 200]
NOISE, REPEATS, RATE, DRAWS = 0.1, 20, 0.002, 50
LEARNERS = {"true model": "backprop", "biased model": "backprop", "reward": "node_perturbation"}
"""Each learner's rule. By errors through the decoder itself is the control: no bias tells it from reward."""
SPEEDS = (0.5, 1.5)


def main() -> None:
    """Train what is not yet trained, and write tables and the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    cells = [
        (seed, kind, learner) for seed in range(given.seeds) for kind in PERTURBATIONS for learner in LEARNERS
    ]
    rows, curves = zip(*(measure(*cell, given.out) for cell in cells), strict=True)
    table = pd.DataFrame(rows)
    table.to_csv(HERE / "switch.csv", index=False, float_format="%.4g")
    summary = summarise(table)
    summary.to_csv(HERE / "switch_summary.csv", index=False, float_format="%.4g")
    print(summary.to_string(index=False))
    draw(table, pd.concat(curves), HERE / "switch.png")


def intuitive(seed: int, out: Path) -> tuple[RecurrentNetwork, ManifoldDecoder, np.ndarray]:
    """Train a network, fit the decoder, and give both with each condition's mean rates during movement."""
    run = ba.train(
        NETWORK,
        task=TASK,
        rule="backprop",
        seed=seed,
        steps=PRETRAINING,
        optimizer="adam:lr=0.003",
        checkpoints=[PRETRAINING],
        out=out / f"before-{seed}",
        progress=False,
    )
    network = run.load(PRETRAINING)
    assert isinstance(network, RecurrentNetwork)
    quiet = record_trials(network, TASK, 1, 0.0, torch.Generator())
    decoder = fit_manifold_decoder(quiet.rates.reshape(-1, network.n_units), quiet.outputs.reshape(-1, 2))
    moving = slice(round(TASK.go_time / TASK.dt), None)
    return network, decoder, quiet.rates[:, moving].mean(1)


def halfway(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Give a matrix between two, as near to one direction as to the other, of the size of the first."""
    between = one / np.linalg.norm(one) + other / np.linalg.norm(other)
    return between * np.linalg.norm(one) / np.linalg.norm(between)


def measure(seed: int, kind: str, learner: str, out: Path) -> tuple[dict, pd.DataFrame]:
    """Train one learner under one perturbed decoder, and hold its flow field against the rules."""
    network, decoder, rates = intuitive(seed, out)
    drawing = np.random.default_rng([seed, PERTURBATIONS.index(kind)])
    perturbed = choose_perturbation(decoder, rates, kind, drawing, speeds=SPEEDS)
    weight = perturbed.decoder.weight
    model = halfway(weight, decoder.weight)
    tensor = torch.from_numpy(weight), torch.from_numpy(perturbed.decoder.bias)
    switched = with_decoder(network, *tensor, torch.from_numpy(model) if learner == "biased model" else None)
    switched.requires_grad_(False).recurrent.requires_grad_(True)
    before = record_trials(switched, TASK, REPEATS, NOISE, torch.Generator().manual_seed(1))
    run = ba.train(
        switched,
        task=TASK,
        rule=LEARNERS[learner],
        seed=seed,
        steps=STEPS,
        optimizer=f"sgd:lr={RATE}",
        checkpoints=CHECKPOINTS,
        out=out / f"{kind}-{learner.replace(' ', '_')}-{seed}",
        progress=False,
    )
    after = record_trials(switched, TASK, REPEATS, NOISE, torch.Generator().manual_seed(2))
    rng = np.random.default_rng(seed)
    test = flow_field_test(before.rates, after.rates, before.errors, weight, model, rng, draws=DRAWS)
    curve = run.table[["step", "endpoint_error"]].assign(seed=seed, kind=kind, learner=learner)
    row = {"seed": seed, "kind": kind, "learner": learner, **_facts(perturbed, decoder, model)}
    row |= _learned(curve["endpoint_error"].to_numpy(), network, decoder)
    return row | asdict(test) | {"difference": test.difference, "told": test.rule}, curve


def _facts(perturbed: Perturbation, decoder: ManifoldDecoder, model: np.ndarray) -> dict[str, float]:
    weight = perturbed.decoder.weight
    cosine = (weight * model).sum() / np.linalg.norm(weight) / np.linalg.norm(model)
    return {
        "angle": perturbed.angle,
        "speed": perturbed.speed,
        "captured": decoder.captured,
        "r2": decoder.r2,
        "model_cosine": float(cosine),
    }


def _learned(errors: np.ndarray, network: RecurrentNetwork, decoder: ManifoldDecoder) -> dict[str, float]:
    """Give end-point errors in mm, and the share of what the switch cost that was learned."""
    under = with_decoder(network, torch.from_numpy(decoder.weight), torch.from_numpy(decoder.bias))
    batch = next(TASK.seen())
    with torch.no_grad():
        best = float(TASK.endpoint_error(TASK.rollout(under, batch), batch).mean())
    first, last = errors[0], errors[-1]
    return {
        "error_intuitive_mm": 1e3 * best,
        "error_first_mm": 1e3 * first,
        "error_last_mm": 1e3 * last,
        "learned": (first - last) / (first - best),
        "learned_half": (first - errors[CHECKPOINTS.index(50)]) / (first - best),
    }


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Give, of each learner, what it learned within and outside over seeds, and how often its rule was told."""
    rows = []
    for learner, of in table.groupby("learner", sort=False):
        wide = of.pivot(index="seed", columns="kind")
        apart = (wide["learned_half", "within"] - wide["learned_half", "outside"]).to_numpy()
        spread = scipy.stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / len(apart) ** 0.5
        row = {"learner": learner, "n_seeds": len(apart)}
        for kind in PERTURBATIONS:
            row |= {
                f"{key}_{kind}": wide[key, kind].mean() for key in ("learned_half", "learned", "difference")
            }
        row |= {
            "within_less_outside": apart.mean(),
            "low": apart.mean() - spread,
            "high": apart.mean() + spread,
        }
        row |= {f"told_{name}": int((of["told"] == name).sum()) for name in ("supervised", "reinforcement")}
        rows.append(row | {"undecided": int((of["told"] == UNDECIDED).sum())})
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame, curves: pd.DataFrame, path: Path) -> None:
    """Draw end-point errors over learning, and the difference of the two predictions' correlations."""
    colours = dict(zip(LEARNERS, COLOURS, strict=False))
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 3, figsize=(7.1, 2.3), layout="constrained")
        for panel, kind in zip(axes, PERTURBATIONS, strict=False):
            for learner, colour in colours.items():
                of = curves[(curves["kind"] == kind) & (curves["learner"] == learner)]
                wide = 1e3 * of.pivot(index="step", columns="seed", values="endpoint_error")
                panel.plot(wide.index, wide, color=colour, alpha=0.3, linewidth=0.6)
                panel.plot(wide.index, wide.mean(axis=1), color=colour, label=learner)
            panel.axhline(table["error_intuitive_mm"].mean(), color="#595959", linestyle=":", linewidth=0.8)
            panel.set(yscale="log", xlabel="step", title=f"decoder perturbed {kind} the manifold")
            panel.title.set_size(7)
        axes[0].set_ylabel("end-point error (mm)")
        axes[0].legend(frameon=False)
        for place, (learner, colour) in enumerate(colours.items()):
            for kind, marker, shift in zip(PERTURBATIONS, "os", (-0.15, 0.15), strict=True):
                of = table[(table["kind"] == kind) & (table["learner"] == learner)].sort_values("seed")
                x = place + shift + 0.02 * (of["seed"] - of["seed"].mean())
                bars = np.abs(of[["low", "high"]].to_numpy() - of[["difference"]].to_numpy()).T
                label = kind if place == 0 else None
                axes[2].errorbar(
                    x, of["difference"], bars, fmt=marker, color=colour, markersize=3, lw=0.6, label=label
                )
        axes[2].axhline(0, color="#595959", linewidth=0.6)
        axes[2].set_xticks(range(len(colours)), colours)
        axes[2].set_ylabel("supervised − reinforcement")
        axes[2].legend(frameon=False)
        axes[2].set_title("above 0: errors by a biased model", fontsize=7)
        figure.suptitle("SIMULATED networks", fontsize=7, color="#D55E00")
        figure.savefig(path, dpi=200)
        plt.close(figure)


if __name__ == "__main__":
    main()
