"""Train networks under learning rules, with checkpoints that can be gone on from."""

from brainalign.training.checkpoint_file import CheckpointError, checkpoint_steps
from brainalign.training.run import Checkpoint, Run, open_run
from brainalign.training.search import Search, search_learning_rate
from brainalign.training.train import train
from brainalign.training.trainer import DivergedError

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "DivergedError",
    "Run",
    "Search",
    "checkpoint_steps",
    "open_run",
    "search_learning_rate",
    "train",
]
