"""What a checkpoint's file holds: weights, what the rule keeps, the optimiser and the generators."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from brainalign.errors import BrainalignError, TrainingError
from brainalign.files import written_whole

PARTS = ("network", "rule", "task", "optimizer", "generator")

Parts = dict[str, dict[str, Tensor]]


class CheckpointError(TrainingError):
    """A checkpoint that is not there, or not whole."""


def checkpoint_path(folder: Path, step: int) -> Path:
    """Give the file of a step: eight digits."""
    return folder / "checkpoints" / f"{step:08d}.safetensors"


def checkpoint_steps_in(folder: Path) -> list[int]:
    """Give the steps of which there is a file, ascending."""
    return sorted(
        int(path.stem) for path in (folder / "checkpoints").glob("*.safetensors") if path.stem.isdigit()
    )


def save_checkpoint(folder: Path, step: int, parts: Mapping[str, Mapping[str, Tensor]]) -> Path:
    """Write a checkpoint whole or not at all; keys are ``network.NAME``, ``rule.NAME`` and so on."""
    tensors = {
        f"{part}.{name}": tensor.detach().cpu().contiguous().clone()
        for part in PARTS
        for name, tensor in parts.get(part, {}).items()
    }
    path = checkpoint_path(folder, step)
    with written_whole(path) as temporary:
        save_file(tensors, temporary, metadata={"brainalign": json.dumps({"step": step})})
    return path


def load_checkpoint(folder: Path, step: int, device: torch.device | str = "cpu") -> Parts:
    """Read a checkpoint's tensors by part and name.

    Raises
    ------
    CheckpointError
        The file is missing, cut short, or of another step.
    """
    path = checkpoint_path(folder, step)
    if not path.is_file():
        there = ", ".join(map(str, checkpoint_steps_in(folder))) or "none"
        raise CheckpointError(f"{folder} has no checkpoint of step {step}; there are: {there}.")
    parts: Parts = {part: {} for part in PARTS}
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            of_step = json.loads((file.metadata() or {}).get("brainalign", "{}")).get("step")
            for key in file.keys():  # noqa: SIM118 (no mapping)
                part, _, name = key.partition(".")
                parts[part][name] = file.get_tensor(key)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"The checkpoint {path} cannot be read ({error}): it was cut short or changed. Delete it, and call "
            "the same training again: it goes on from the checkpoint before."
        ) from error
    if of_step != step:
        raise CheckpointError(f"The checkpoint {path} is of step {of_step}, not {step}; delete it.")
    return parts


def is_whole(folder: Path, step: int) -> bool:
    """Say whether a checkpoint's file is there in its full length, of its step; reads its head alone."""
    try:
        with safe_open(checkpoint_path(folder, step), "pt") as file:
            return json.loads((file.metadata() or {}).get("brainalign", "{}")).get("step") == step
    except (SafetensorError, OSError, ValueError):
        return False


def checkpoint_steps(n_steps: int, n: int = 24) -> list[int]:
    """Give the steps of `n` checkpoints: 0, the last, and log-spaced ones between.

    Fewer where there are fewer steps. A checkpoint of step s is what s steps have made.

    Examples
    --------
    >>> checkpoint_steps(1000, 5)
    [0, 1, 10, 100, 1000]
    """
    if n_steps < 0 or n < 2:
        raise BrainalignError(f"{n} checkpoints of {n_steps} steps: give two or more, of 0 steps or more.")
    if n_steps + 1 <= n:
        return list(range(n_steps + 1))
    steps = {0, n_steps}
    count = n - 1
    # Rounding makes early steps coincide; more are asked for until there are enough.
    while len(steps) < n:
        exponents = (i / max(count - 1, 1) for i in range(count))
        steps = {0, n_steps} | {round(n_steps**exponent) for exponent in exponents}
        count += 1
    return sorted(steps)
