"""What the sign-symmetric rules share: errors go back through weights that have the forward weights' signs."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brainalign.rules.linear_maps import check_feedback, feedback_through, linear_maps
from brainalign.rules.rule import OF_TASK, LearningRule, State, Update
from brainalign.rules.synaptic_normalisation import normalise_synapses, starting_norms
from brainalign.rules.zero_mean_noise import check_distribution, zero_mean_noise
from brainalign.tasks.task import Batch, Task
from brainalign.tasks.total_cost import gradient

MAGNITUDE = "magnitude."


@dataclass(frozen=True)
class SignSymmetry(LearningRule):
    r"""Errors go back through :math:`V = M \circ \mathrm{sign}(W)`; subclasses say what the magnitudes M are.

    .. math::
        \Delta W_l = -\eta\, \delta_l h_{l-1}^\top, \qquad
        \delta_l = (V_{l+1}^\top \delta_{l+1}) \circ f'(a_l), \qquad V = M \circ \mathrm{sign}(W)

    The signs are those of the weights at each step. A weight that is exactly 0 has no sign and sends no error
    back, as in backprop: a map that starts at zero sends errors from the second step on.

    Parameters
    ----------
    scale
        Root mean square of M over the standard deviation with which W starts (where W starts constant, that
        of 2 / (fan-in + fan-out)).
    manhattan
        Whether weights move by the sign of the batch's gradient alone, all by the same amount. The amount
        is the learning rate where the optimiser is plain ``sgd``; it has to be far lower than for gradients.
    normalise
        Whether the incoming weights of each neuron are rescaled after each update to the norm that they
        start with, on average over their map.
    """

    scale: float = 1.0
    manhattan: bool = False
    normalise: bool = False

    family = "error feedback"
    locality = "pre- and postsynaptic activity, the postsynaptic unit's error, and one bit of each weight above"
    phases = 1
    passes = 3.0

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network has linear maps, all of a kind that is known, and the cost no derivative."""
        check_feedback(self.name, network, task)

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Make the magnitudes, and the norms that are to be kept."""
        parameters = dict(network.named_parameters())
        maps = linear_maps(network, task)
        state: State = {}
        for each in maps:
            if each.has_error:
                weight = parameters[each.name].detach()
                state |= self.magnitude(each.name, weight, self.scale * _deviation(weight), generator)
        if self.normalise:
            state |= starting_norms(network, [m.name for m in maps if parameters[m.name].requires_grad])
        return state

    @abstractmethod
    def magnitude(self, name: str, weight: Tensor, deviation: Tensor, generator: torch.Generator) -> State:
        """Make a map's M, as ``magnitude.NAME``, and whatever else is kept for it."""

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give what backprop would give if errors came back through V, or its signs."""
        with feedback_through(network, self.feedback_weights(network, state)):
            update = gradient(network, task, batch)
        if self.manhattan:
            # What a task learns for itself goes by the true gradient under every rule.
            update = {name: each if name.startswith(OF_TASK) else each.sign() for name, each in update.items()}
        yield update

    def after_update(self, network: nn.Module, state: State) -> None:
        """Rescale the incoming weights of each neuron, if they are to be."""
        normalise_synapses(network, state)

    def feedback_weights(self, network: nn.Module, state: State) -> dict[str, Tensor]:
        """Give V by the name of the forward weights, in their shape."""
        parameters = dict(network.named_parameters())
        names = [key.removeprefix(MAGNITUDE) for key in state if key.startswith(MAGNITUDE)]
        return {name: parameters[name].detach().sign().mul_(state[MAGNITUDE + name]) for name in names}


@dataclass(frozen=True)
class RandomMagnitudes(SignSymmetry):
    """Sign symmetry whose magnitudes are drawn.

    Parameters
    ----------
    distribution
        Of M: ``gaussian`` or ``uniform``.
    """

    distribution: str = "gaussian"

    source = "Liao, Leibo & Poggio 2016, AAAI; Moskovitz, Litwin-Kumar & Abbott 2018, arXiv:1812.06488"

    def __post_init__(self):
        check_distribution(self.distribution)

    def drawn(self, weight: Tensor, deviation: Tensor, generator: torch.Generator) -> Tensor:
        """Draw |M| of a map."""
        return zero_mean_noise(self.distribution, weight.shape, weight, generator).abs_().mul_(deviation)


def _deviation(weight: Tensor) -> Tensor:
    fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(weight)
    found = weight.std(correction=0)
    return torch.where(found > 0, found, (2 / (fan_in + fan_out)) ** 0.5)
