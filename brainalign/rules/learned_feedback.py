"""What rules share whose feedback weights learn: ``trainable.feedback.NAME``, in the shape of W."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brainalign.rules.feedback_alignment import FEEDBACK, FeedbackAlignment
from brainalign.rules.linear_maps import check_feedback
from brainalign.rules.rule import TRAINABLE, LearningRule, State
from brainalign.tasks.task import Task

LEARNED_FEEDBACK = TRAINABLE + FEEDBACK


@dataclass(frozen=True)
class LearnedFeedback(LearningRule):
    """Errors go back through weights B that start random and are changed by the optimiser.

    Parameters
    ----------
    scale
        Standard deviation with which B starts over that of W.
    """

    scale: float = 1.0

    family = "error feedback"

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network has linear maps, all of a kind that is known, and the cost no derivative."""
        check_feedback(self.name, network, task)

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw the feedback weights, as feedback alignment does."""
        drawn = FeedbackAlignment(self.scale).init(network, task, generator)
        return {TRAINABLE + name: matrix for name, matrix in drawn.items()}

    def feedback_weights(self, network: nn.Module, state: State) -> dict[str, Tensor]:
        """Give B by the name of the forward weights, in their shape."""
        return {
            name.removeprefix(LEARNED_FEEDBACK): matrix
            for name, matrix in state.items()
            if name.startswith(LEARNED_FEEDBACK)
        }
