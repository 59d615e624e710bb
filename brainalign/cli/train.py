"""`brainalign train`: a network under a learning rule."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from brainalign.cli.terminal import output, show
from brainalign.errors import BrainalignError


def train(
    network: Annotated[
        str, typer.Argument(help="mlp, convnet, lenet, resnet20, torchvision:NAME, net.py:make.")
    ],
    out: Annotated[Path, typer.Option(help="The run's folder; called again, it goes on where it stopped.")],
    task: Annotated[str, typer.Option(help="TASK:IMAGES with options.")] = "classification:digits",
    rule: Annotated[str, typer.Option(help="Learning rule, with options.")] = "backprop",
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, order of images and rule.")] = 0,
    initial: Annotated[
        str | None, typer.Option(help="Run to start from: DIR or DIR@STEP; its read-out may differ.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Epochs, in place of steps; 10 by default.")] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="sgd, momentum, adam or rmsprop; the rule's own.")
    ] = None,
    lr: Annotated[str | None, typer.Option(help="Learning rate, or 'search'; the optimiser's own.")] = None,
    checkpoints: Annotated[int, typer.Option(min=2, help="Checkpoints: 0, last, log-spaced between.")] = 24,
    layer_cost: Annotated[list[str] | None, typer.Option(help="LAYER=COST[:SCHEDULE].")] = None,
    cost_weight: Annotated[str, typer.Option(help="Weight of the outputs' cost: 1, or 0:1/500:0.")] = "1",
    evaluate_on: Annotated[int | None, typer.Option(help="Images to measure on; 0 for all.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Train a network under a learning rule, with checkpoints that can be scored."""
    from brainalign.training import search_learning_rate
    from brainalign.training import train as train_network

    options = {
        "seed": seed,
        "initial": initial,
        "optimizer": optimizer,
        "layer_costs": layer_cost or (),
        "cost_weight": cost_weight,
        "evaluate_on": evaluate_on,
        "device": device,
    }
    length = {"steps": steps, "epochs": epochs}
    rate = None
    if lr == "search":
        found = search_learning_rate(network, task, rule, out=out / "search", **length, **options)
        rate = found.best
        _show_search(found.table, rate, found.note)
    elif lr is not None:
        rate = _number(lr)
    run = train_network(
        network,
        task,
        rule,
        lr=rate,
        checkpoints=checkpoints,
        out=out / "run" if lr == "search" else out,
        **length,
        **options,
    )
    _show_run(run.table, str(run.path), run.settings.lr)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BrainalignError(f"Learning rate {text!r} is neither a number nor 'search'.") from None


def _show_search(table: pd.DataFrame, best: float, note: str) -> None:
    rows = [
        (f"{row['lr']:g}", f"{row['loss']:.4g}", f"{row['accuracy']:.3f}", row["note"])
        for row in table.to_dict("records")
    ]
    caption = f"lowest loss on validation images: {best:g}" + (f"; {note}" if note else "")
    show("learning rates", ("rate", "loss", "accuracy", "note"), rows, caption)


def _show_run(table: pd.DataFrame, path: str, lr: float) -> None:
    columns = [
        ("step", "step", "d"),
        ("loss", "loss", ".4g"),
        ("accuracy", "accuracy", ".3f"),
    ]
    if "readout_accuracy" in table:
        columns.append(("read-out", "readout_accuracy", ".3f"))
    columns += [("trained", "train_accuracy", ".3f"), ("angle", "angle", ".1f")]
    rows = [
        tuple("–" if pd.isna(row[name]) else format(row[name], form) for _, name, form in columns)
        for row in table.astype({"step": int}).to_dict("records")
    ]
    caption = (
        f"learning rate {lr:g}; loss, accuracy and read-out (fitted apart) on held-out images; "
        "trained: accuracy on training images; angle of all weights' update to backprop's, in degrees"
    )
    show("training", [title for title, _, _ in columns], rows, caption)
    output.print(f"wrote {path}", highlight=False)
