"""How the steps of rules that are told one number grow with the width of the network.

``python analyses/rule_scaling/width.py --out runs`` (an hour of one core; can be killed and called again)

One hidden layer of 8 to 64 units, handwritten digits of 8 × 8 pixels, plain SGD without momentum, so that
nothing but the estimate of the gradient differs. What is counted are steps until the loss on held-out images
has fallen to so much of what chance gives, at the best of the rates for each rule and width, chosen on training
images that are set apart.

An estimate from K perturbations in D dimensions has a mean square of (K + D + 1) / K times the gradient's, and
where that is what bounds the rate, steps grow by the same factor over those of backprop. Under weight
perturbation D is the number of weights, and the gradient that of the batch, here of 128 images. Under node
perturbation D is the number of units, and the gradient that of a single image, which averages over a batch: so
it is measured, and held against backprop, on batches of one. Evolution strategies by ranks are told less than
the cost; the prediction is that for costs.

That bound takes noise in all D directions to be equally harmful. It is harmful by the curvature there, so D is
to be read as the effective dimension tr(H) / λ_max of the Hessian, measured here under backprop when it reaches
the criterion (``effective_dimension.csv``).
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from scipy.stats import linregress
from torch.func import functional_call, grad, jvp

import brainalign as ba
from brainalign.tasks import find_task
from brainalign.training import Run
from brainalign.training.search import choose_rate, validating
from brainalign.training.trainer import DivergedError

SEEDS, WIDTHS, N_CHECKPOINTS = range(3), (8, 16, 32, 64), 120


@dataclass(frozen=True)
class Setting:
    """A rule, how many images a batch has, how long it is trained, and at which rates."""

    rule: str
    batch_size: int
    steps: int
    rates: tuple[float, ...]
    reference: str = ""
    samples: int = 1


SETTINGS = {
    "backprop": Setting("backprop", 128, 300, (0.03, 0.1, 0.3, 1.0, 3.0)),
    "weight_perturbation": Setting(
        "weight_perturbation:samples=16", 128, 6000, (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0), "backprop", 16
    ),
    "evolution_strategies": Setting(
        "evolution_strategies:samples=16,sigma=0.001",
        128,
        6000,
        (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3),
        "backprop",
        16,
    ),
    "backprop, one image": Setting("backprop", 1, 3000, (0.003, 0.01, 0.03, 0.1, 0.3)),
    "node_perturbation": Setting(
        "node_perturbation:samples=1", 1, 20000, (1e-4, 3e-4, 1e-3, 3e-3, 1e-2), "backprop, one image"
    ),
}
LOSS = 0.4 * np.log(10)


def main() -> None:
    """Train all, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    out, rows = parser.parse_args().out, []
    for width in WIDTHS:
        for name, setting in SETTINGS.items():
            task = f"classification:digits,batch_size={setting.batch_size}"
            folder = out / f"{name}_{width}"
            searched = [
                _steps(setting, validating(task), width, lr, 100, folder / f"search_{lr:g}")
                for lr in setting.rates
            ]
            best, note = choose_rate(setting.rates, searched)
            for seed in SEEDS:
                steps = _steps(setting, task, width, best, seed, folder / f"{seed}")
                rows.append(
                    {"rule": name, "width": width, "lr": best, "note": note, "seed": seed, "steps": steps}
                )
    table = pd.DataFrame(rows)
    table.to_csv(Path(__file__).with_name("width.csv"), index=False, float_format="%.6g")
    curvature = pd.DataFrame(
        [
            {"width": width, "seed": seed, **effective_dimension(out / f"backprop_{width}" / f"{seed}")}
            for width in WIDTHS
            for seed in SEEDS
        ]
    )
    curvature.to_csv(Path(__file__).with_name("effective_dimension.csv"), index=False, float_format="%.6g")
    print(curvature.groupby("width").mean().round(1).to_string())
    print(summary(table).round(2).to_string())
    print(exponents(table).round(2).to_string())


def _steps(setting: Setting, task: str, width: int, lr: float, seed: int, out: Path) -> float:
    """Give the steps until the loss has fallen so far, infinite where it does not."""
    try:
        run = ba.train(
            f"mlp:hidden={width}",
            task,
            setting.rule,
            seed=seed,
            steps=setting.steps,
            optimizer="sgd",
            lr=lr,
            checkpoints=N_CHECKPOINTS,
            out=out,
            progress=False,
        )
    except DivergedError:
        return np.inf
    loss, steps = run.table["loss"].to_numpy(), run.table["step"].to_numpy(float)
    below = np.flatnonzero(loss <= LOSS)
    if not below.size or below[0] == 0:
        return np.inf
    last = below[0]
    part = (loss[last - 1] - LOSS) / (loss[last - 1] - loss[last])
    return float(steps[last - 1] + part * (steps[last] - steps[last - 1]))


def effective_dimension(folder: Path) -> dict[str, float]:
    """Give tr(H), λ_max and their ratio at the first checkpoint below the criterion.

    Of the loss on 512 held-out images, in float64: the trace by Hutchinson's estimate from 200 directions, the
    largest eigenvalue by 60 steps of power iteration.
    """
    run = Run.open(folder)
    step = int(run.table["step"][np.flatnonzero(run.table["loss"] <= LOSS)[0]])
    network = run.checkpoints([step])[0].load().double()
    parameters = {name: each.detach() for name, each in network.named_parameters()}
    task = find_task("classification:digits")
    batch = next(task.held_out(512))

    def loss(values: dict[str, torch.Tensor]) -> torch.Tensor:
        return task.cost(functional_call(network, values, (batch.inputs.double(),)), batch).mean()

    def curved(direction: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return jvp(grad(loss), (parameters,), (direction,))[1]

    def dot(x: dict[str, torch.Tensor], y: dict[str, torch.Tensor]) -> float:
        return float(sum((x[name] * y[name]).sum() for name in x))

    def drawn() -> dict[str, torch.Tensor]:
        return {
            name: torch.randn(each.shape, generator=generator, dtype=each.dtype)
            for name, each in parameters.items()
        }

    generator = torch.Generator().manual_seed(0)
    directions = [drawn() for _ in range(200)]
    trace, largest, direction = float(np.mean([dot(each, curved(each)) for each in directions])), 0.0, drawn()
    for _ in range(60):
        image = curved(direction)
        largest = dot(direction, image) / dot(direction, direction)
        direction = {name: each / dot(image, image) ** 0.5 for name, each in image.items()}
    return {"step": step, "trace": trace, "largest": largest, "effective_dimension": trace / largest}


def predicted(name: str, width: int) -> float:
    """Give (K + D + 1) / K, with D units or weights and biases."""
    setting, units = SETTINGS[name], width + 10
    if not setting.reference:
        return 1.0
    dimensions = units if name == "node_perturbation" else 64 * width + 10 * width + units
    return (setting.samples + dimensions + 1) / setting.samples


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give median steps over seeds, and their multiple of backprop's at that width beside the predicted one."""
    median = table.groupby(["rule", "width"], sort=False)[["steps", "lr"]].median()
    median["by_backprop"] = [
        steps / median["steps"][SETTINGS[name].reference or name, width]
        for (name, width), steps in median["steps"].items()
    ]
    return median.assign(predicted=[predicted(name, width) for name, width in median.index])


def exponents(table: pd.DataFrame) -> pd.DataFrame:
    """Give slopes of log steps, by backprop's, over log width: measured, its standard error, predicted."""
    found, rows = summary(table), {}
    for name, setting in SETTINGS.items():
        if setting.reference:
            of_rule = np.log(found.loc[name])
            line = linregress(np.log(WIDTHS), of_rule["by_backprop"])
            slope = linregress(np.log(WIDTHS), of_rule["predicted"]).slope
            rows[name] = {"exponent": line.slope, "standard_error": line.stderr, "predicted": slope}
    return pd.DataFrame(rows).T


if __name__ == "__main__":
    main()
