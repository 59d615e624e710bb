"""Feedback alignment: errors go back through fixed random weights."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from brainalign.rules.linear_maps import check_feedback, feedback_through, linear_maps
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.tasks.task import Batch, Task
from brainalign.tasks.total_cost import gradient

FEEDBACK = "feedback."


@dataclass(frozen=True)
class FeedbackAlignment(LearningRule):
    r"""Feedback alignment (Lillicrap et al. 2016), on any network of linear and convolutional maps.

    .. math::
        \Delta W_l = -\eta\, \delta_l h_{l-1}^\top, \qquad
        \delta_l = (B_{l+1} \delta_{l+1}) \circ f'(a_l)

    B is drawn once, Gaussian, with `scale` times the standard deviation with which W starts (where W starts
    constant, that of 1 / (fan-in + fan-out)). What is no linear map, such as normalisation, pooling and
    attention's products, has its true derivative.

    Parameters
    ----------
    scale
        Standard deviation of B over that of W.
    """

    scale: float = 1.0

    name = "feedback_alignment"
    family = "error feedback"
    feedback = "errors through fixed random weights, layer by layer"
    locality = "pre- and postsynaptic activity, and the postsynaptic unit's error"
    phases = 1
    passes = 3.0
    source = "Lillicrap et al. 2016, Nat Commun 7:13276"

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network has linear maps, all of a kind that is known, and the cost no derivative."""
        check_feedback(self.name, network, task)

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw the feedback weights."""
        parameters = dict(network.named_parameters())
        state = {}
        for each in linear_maps(network, task):
            if each.has_error:
                weight = parameters[each.name].detach()
                deviation = weight.std()
                deviation = torch.where(deviation > 0, deviation, _xavier_deviation(weight))
                drawn = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
                state[FEEDBACK + each.name] = self.scale * deviation * drawn.to(weight.device)
        return state

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give what backprop would give if errors came back through B."""
        with feedback_through(network, self.feedback_weights(network, state)):
            yield gradient(network, task, batch)

    def feedback_weights(self, network: nn.Module, state: State) -> dict[str, torch.Tensor]:
        """Give the feedback weights by the name of the forward weights, in their shape."""
        return {name.removeprefix(FEEDBACK): matrix for name, matrix in state.items()}


def _xavier_deviation(weight: torch.Tensor) -> float:
    fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(weight)
    return (fan_in + fan_out) ** -0.5
