"""The training loop: steps between checkpoints, and the same bytes however often it is killed."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from brainalign.files import written_whole
from brainalign.training.checkpoint_file import (
    CheckpointError,
    Parts,
    checkpoint_path,
    checkpoint_steps_in,
    load_checkpoint,
    save_checkpoint,
)
from brainalign.training.run import TABLE, read_table
from brainalign.training.trainer import DivergedError, Trainer

Say = Callable[[str], None]


def run_loop(
    trainer: Trainer, folder: Path, checkpoints: Sequence[int], limit: int | None, progress: bool, say: Say
) -> None:
    """Train up to the last checkpoint, going on from the last one that is whole.

    Raises
    ------
    DivergedError
        Names the step, and the last good checkpoint.
    """
    rows = _resume(trainer, folder, checkpoints, say)
    bar = tqdm(
        total=checkpoints[-1],
        initial=trainer.step,
        desc=trainer.rule.name,
        unit="step",
        delay=2,
        leave=False,
        disable=None if progress else True,
    )
    try:
        with bar:
            for step in (step for step in checkpoints if step >= trainer.step):
                if rows and rows[-1]["step"] == step:
                    continue
                while trainer.step < step and trainer.rule.learns:
                    trainer.advance()
                    bar.update()
                trainer.step = step
                rows.append(trainer.measure(limit))
                save_checkpoint(folder, step, trainer.parts())
                _save_table(rows, folder)
    except DivergedError as error:
        last = rows[-1]["step"] if rows else None
        kept = f"The checkpoint of step {last} is kept" if rows else "No checkpoint was made"
        raise type(error)(
            f"{error} {kept} in {folder}. Train again with a lower learning rate, in another folder."
        ) from error


def _resume(trainer: Trainer, folder: Path, checkpoints: Sequence[int], say: Say) -> list[dict]:
    """Restore the last checkpoint before which all are whole and measured; drop those after it."""
    rows: list[dict] = []
    measured = read_table(folder)
    good: Parts = {}
    for step in checkpoints:
        if step not in measured:
            break
        try:
            good = load_checkpoint(folder, step)
        except CheckpointError as error:
            if checkpoint_path(folder, step).exists():
                say(f"{error}")
            break
        rows.append(measured[step])
    kept = [row["step"] for row in rows]
    again = [step for step in checkpoint_steps_in(folder) if step not in kept]
    if again:
        lost = min(set(checkpoints) - set(kept))
        say(f"{folder}: step {lost} has no whole checkpoint; it and those after it are made again")
    for step in again:
        checkpoint_path(folder, step).unlink()
    if rows:
        trainer.restore(int(rows[-1]["step"]), good)
        if rows[-1]["step"] < checkpoints[-1]:
            say(f"{folder}: going on from step {trainer.step}")
    return rows


def _save_table(rows: Sequence[dict], folder: Path) -> None:
    with written_whole(folder / TABLE) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.6g")
