"""Train a network under a learning rule."""

import dataclasses
import logging
import math
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from filelock import FileLock
from torch import nn

from brainalign.errors import BrainalignError
from brainalign.files import cache_folder, content_hash
from brainalign.networks import check_network, make_network, set_preprocessing
from brainalign.networks.factories import is_file_factory
from brainalign.rules import LearningRule, find_rule, rule_name
from brainalign.tasks import Schedule, Task, find_task, parse_layer_cost
from brainalign.tasks.total_cost import answers_of
from brainalign.training.checkpoint_file import checkpoint_steps, load_checkpoint
from brainalign.training.initial import start_from
from brainalign.training.loop import run_loop
from brainalign.training.optimizers import Optimizer, find_optimizer
from brainalign.training.run import Run
from brainalign.training.settings import FILE, Settings
from brainalign.training.trainer import Trainer

log = logging.getLogger(__name__)

EPOCHS = 10
EVALUATE_ON = 10_000


def train(
    network: str | nn.Module,
    task: str | Task = "classification:digits",
    rule: str | LearningRule = "backprop",
    *,
    seed: int = 0,
    initial: str | Path | None = None,
    steps: int | None = None,
    epochs: int | float | None = None,
    optimizer: str | None = None,
    lr: float | None = None,
    checkpoints: int | Sequence[int] = 24,
    layer_costs: Sequence[str] = (),
    cost_weight: str = "1",
    evaluate_on: int | None = None,
    out: str | Path | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> Run:
    """Train a network under a learning rule, with checkpoints.

    Called again with the same settings and folder it goes on where it was stopped, or returns at once if it is
    finished; the same seed and number of threads give the same bytes.

    Parameters
    ----------
    network
        A name (`brainalign.networks.make_network`), or a module, which is trained in place; where the folder
        holds its run already, it gets the run's weights.
    task
        ``TASK:IMAGES`` with options, such as ``classification:cifar10``.
    rule
        Name of the learning rule, with options.
    seed
        Seed of the weights, of the order of the images, and of the rule's random numbers.
    initial
        Another run, ``DIR`` (its last checkpoint) or ``DIR@STEP``, whose weights the network starts from. A
        read-out of another shape is drawn anew, and so is what the rule keeps beside the network.
    steps, epochs
        Length of training; 10 epochs unless one of them is given.
    optimizer
        ``sgd``, ``momentum``, ``adam`` or ``rmsprop`` with options; the rule's own by default.
    lr
        Learning rate; the optimiser's own by default.
    checkpoints
        How many (step 0, the last, and log-spaced ones between), or at which steps.
    layer_costs
        Costs that layers pay for their own answers, ``LAYER=COST[:SCHEDULE]``.
    cost_weight
        Weight of the outputs' cost over the steps: a number, or ``STEP:WEIGHT/STEP:WEIGHT``.
    evaluate_on
        Images at most, of training and held-out ones each, to measure a checkpoint on; 10 000 by default.
    out
        The run's folder; of a network with a name, one in the cache by default, named after the settings.
    device
        ``cpu`` or ``cuda``.
    progress
        Whether to show it.

    Raises
    ------
    UnknownNameError
        A name that no catalogue holds.
    NeedsError
        A rule that cannot train this network.
    DivergedError
        An update or a loss that is no number; names the step.
    BrainalignError
        A folder of another run, or settings that contradict each other.
    """
    if not 0 <= seed < 2**63:
        raise BrainalignError(f"Seed {seed} is no whole number from 0 to 2⁶³ − 1.")
    rule = find_rule(rule) if isinstance(rule, str) else rule
    task = _task(task, layer_costs, cost_weight)
    chosen = find_optimizer(optimizer or rule.optimizer)
    chosen = chosen if lr is None else chosen.with_lr(_positive(lr))
    n_steps = _n_steps(task, steps, epochs)
    at = _checkpoints(n_steps, checkpoints)
    shape = task.shape(rule.activation)
    template = network if isinstance(network, nn.Module) else None
    module = template if template is not None else make_network(str(network), shape, seed)
    if template is not None:
        check_network(module, f"module {type(module).__name__}", shape)
        set_preprocessing(module, task.preprocessing)
    name = str(network) if template is None else f"module {type(module).__name__}"
    settings = _settings(name, task, rule, seed, n_steps, chosen, tuple(at), evaluate_on)
    if initial is not None:
        settings = dataclasses.replace(settings, initial=start_from(module, str(initial)))
    _check_layers(module, task)
    folder = _folder(out, settings, template)
    # Whatever cannot be trained is refused before the folder is claimed.
    _refuse_others(folder, settings)
    trainer = Trainer(module, task, rule, chosen, seed, _device(device))
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, settings, template)
    with FileLock(folder / ".lock"):
        _refuse_others(folder, settings)
        _claim(folder, settings)
        if not run.finished:
            run_loop(trainer, folder, at, settings.evaluate_on or None, progress, log.warning)
        elif template is not None:
            trainer.restore(at[-1], load_checkpoint(folder, at[-1]))
    return run


def _folder(out: str | Path | None, settings: Settings, template: nn.Module | None) -> Path:
    """Give the run's folder: in the cache, one that its settings alone decide."""
    if out is not None:
        return Path(out)
    if template is not None:
        raise BrainalignError("A module has no name that tells its run apart; give out, the run's folder.")
    file = settings.network.rpartition(":")[0] if is_file_factory(settings.network) else ""
    content = Path(file).expanduser().read_bytes() if file else b""
    return cache_folder() / "runs" / content_hash(settings.key(), content)[:16]


def _device(name: str) -> torch.device:
    """Give a device that is there."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BrainalignError(f"Device {name!r} is none; give cpu or cuda.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BrainalignError("Device 'cuda' was asked for, and torch finds no GPU; give cpu.")
    return device


def _task(task: str | Task, layer_costs: Sequence[str], cost_weight: str) -> Task:
    if not isinstance(task, str):
        if layer_costs or cost_weight != "1":
            raise BrainalignError("Give costs at layers and weights to the task itself, as it is no name.")
        # A copy has weights of its own to learn, such as a decoder's.
        return dataclasses.replace(task)
    parsed = [parse_layer_cost(text) for text in layer_costs]
    at_layers = dict(parsed)
    if len(at_layers) < len(parsed):
        raise BrainalignError(
            f"One layer has two costs in {', '.join(layer_costs)}; give each layer one at most."
        )
    return find_task(task, weight=Schedule.parse(cost_weight), at_layers=at_layers)


def _positive(lr: float) -> float:
    if not 0 < lr < float("inf"):
        raise BrainalignError(f"Learning rate {lr} is no positive number.")
    return lr


def _n_steps(task: Task, steps: int | None, epochs: int | float | None) -> int:
    if steps is not None and epochs is not None:
        raise BrainalignError("Give steps or epochs, not both.")
    if epochs is not None and not math.isfinite(epochs):
        raise BrainalignError(f"{epochs} epochs are no length of training; give a number.")
    n_steps = round((EPOCHS if epochs is None else epochs) * task.n_batches) if steps is None else steps
    if n_steps < 1:
        raise BrainalignError(f"Training of {n_steps} steps trains nothing; give 1 step or more.")
    return n_steps


def _checkpoints(n_steps: int, wanted: int | Sequence[int]) -> list[int]:
    """Give the steps of checkpoints, the first and the last among them."""
    if isinstance(wanted, int):
        return checkpoint_steps(n_steps, wanted)
    if not all(0 <= step <= n_steps for step in wanted):
        raise BrainalignError(
            f"Training of {n_steps} steps has checkpoints at steps 0 to {n_steps}; found {wanted}."
        )
    return sorted({0, n_steps, *wanted})


def _settings(
    name: str,
    task: Task,
    rule: LearningRule,
    seed: int,
    n_steps: int,
    optimizer: Optimizer,
    at: tuple[int, ...],
    evaluate_on: int | None,
) -> Settings:
    if evaluate_on is not None and evaluate_on < 0:
        raise BrainalignError(f"A checkpoint cannot be measured on {evaluate_on} images; give 0 for all.")
    preprocessing = task.preprocessing
    return Settings(
        network=name,
        task=task.name,
        rule=rule_name(rule),
        seed=seed,
        steps=n_steps,
        optimizer=optimizer.name,
        lr=optimizer.lr,
        checkpoints=at,
        layer_costs=tuple(f"{at}={cost.name}:{cost.weight}" for at, cost in task.at_layers.items()),
        cost_weight=str(task.weight),
        evaluate_on=EVALUATE_ON if evaluate_on is None else evaluate_on,
        n_outputs=task.n_outputs,
        image_size=preprocessing.size,
        mean=preprocessing.mean,
        std=preprocessing.std,
        scale=preprocessing.scale,
        activation=rule.activation,
        n_inputs=task.n_inputs,
    )


def _check_layers(network: nn.Module, task: Task) -> None:
    """Look the layers with costs up before anything is trained."""
    if not task.at_layers:
        return
    training = network.training
    device = next(network.parameters()).device
    # In training, normalisation would keep what it sees.
    network.eval()
    try:
        with torch.no_grad(), answers_of(network, list(task.at_layers)):
            network(next(task.seen(2)).inputs.to(device))
    finally:
        network.train(training)


def _refuse_others(folder: Path, settings: Settings) -> None:
    """Refuse a folder that something else has made."""
    if folder.exists() and not folder.is_dir():
        raise BrainalignError(f"{folder} is a file; choose a folder for the run.")
    if (folder / FILE).exists():
        differences = settings.differences(Settings.load(folder))
        if differences:
            raise BrainalignError(
                f"{folder} holds another run ({'; '.join(differences)}). Choose another folder, or delete it."
            )
        return
    others = [path.name for path in folder.iterdir() if path.name != ".lock"] if folder.exists() else []
    if others:
        raise BrainalignError(
            f"{folder} is not empty ({others[0]}, …) and holds no run; choose another folder."
        )


def _claim(folder: Path, settings: Settings) -> None:
    """Write what makes the run, unless it is there."""
    if (folder / FILE).exists():
        return
    versions = ", ".join(f"{name} {version(name)}" for name in ("brainalign", "torch", "torchvision"))
    settings.save(folder, f"python {platform.python_version()}, {versions}")
