"""FORCE: the read-out is solved for at each step, while its outputs are fed back into the network."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.networks.recurrent import LeakyNetwork, RecurrentNetwork
from brainalign.networks.recurrent import State as Rates
from brainalign.rules.recurrent_trials import leaky_network
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.tasks.desired import desired
from brainalign.tasks.task import Batch, Task

INVERSE, FEEDBACK = "inverse", "feedback"

Inverse = Float[Tensor, "regressor regressor"]
Weights = Float[Tensor, "regressor output"]


@dataclass(frozen=True)
class Force(LearningRule):
    r"""FORCE learning (Sussillo & Abbott 2009), on leaky rate units.

    .. math::
        P \leftarrow P - \frac{P r r^\top P}{1 + r^\top P r}, \qquad w \leftarrow w - (w^\top r - f)\, P r

    at each step, by recursive least squares: r are the rates and a 1 for the bias, f what the outputs should
    be. The outputs, after the change, enter the network at the next step through fixed weights, drawn evenly
    between ±`feedback_scale`: ``inference`` gives the network with that loop. Only the read-out learns;
    recurrent weights are those that the network starts with, chaotic where its gain is above 1. The trials of
    a batch run side by side, and each step solves for all of them at once. w is the ridge solution over all
    steps so far, with a penalty on its distance from where it started.

    The update is the change of the weights, which the default optimiser applies as it is; with another one this
    is not FORCE. Sums are in float64.

    Parameters
    ----------
    ridge
        Penalty; P starts at I over it.
    feedback_scale
        Largest weight from an output to a unit.
    """

    ridge: float = 1.0
    feedback_scale: float = 1.0

    name = "force"
    family = "least squares"
    feedback = "each step's output error, to the read-out alone; outputs re-enter the network"
    locality = "the output's error, and rates weighted by the inverse of their correlations"
    phases = 1
    passes = 3.0
    source = "Sussillo & Abbott 2009, Neuron 63:544"
    optimizer = "sgd:lr=1"
    true_gradient = False
    of_time: ClassVar[bool] = True

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless units are leaky, the read-out is free, and what outputs should be is known."""
        leaky = leaky_network(self.name, network)
        if type(leaky).constrain is not RecurrentNetwork.constrain or not leaky.head.weight.requires_grad:
            raise NeedsError(
                f"Rule {self.name!r} solves for the read-out's weights, which a {type(network).__name__} "
                "keeps within bounds or fixed. Choose a network whose read-out is free, such as rnn."
            )
        desired(task, next(task.held_out(1)))

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Start P, and draw the weights by which outputs are fed back."""
        weight = leaky_network(self.name, network).head.weight.detach()
        drawn = 2 * torch.rand(weight.T.shape, generator=generator, dtype=weight.dtype) - 1
        n_regressors = weight.shape[1] + 1
        inverse = torch.eye(n_regressors, dtype=torch.float64, device=weight.device) / self.ridge
        return {INVERSE: inverse, FEEDBACK: self.feedback_scale * drawn.to(weight.device)}

    @torch.no_grad()
    def _learn(self, network: LeakyNetwork, task: Task, batch: Batch, state: State) -> Update:
        head = network.head
        before = torch.cat([head.weight, head.bias[:, None]], 1)
        wanted = desired(task, batch)
        learning = _Learning(network, state[FEEDBACK], wanted, state[INVERSE], before.T.double())
        task.rollout(learning, batch)
        state[INVERSE] = learning.inverse
        change = before - learning.weights.T.to(before.dtype)
        return {"head.weight": change[:, :-1], "head.bias": change[:, -1]}

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give the change of the read-out over the trials, learning while they run."""
        yield self._learn(leaky_network(self.name, network), task, batch, state)

    def inference(self, network: nn.Module, state: State) -> nn.Module:
        """Give the network whose outputs are fed back."""
        return FedBack(leaky_network(self.name, network), state[FEEDBACK])


class FedBack(RecurrentNetwork):
    r"""A network whose outputs re-enter it at the next step.

    .. math:: u_t = W h_{t-1} + W_{in} x_t + b + W_{fb} y_{t-1}

    Parameters
    ----------
    network
        The network.
    feedback
        :math:`W_{fb}`.
    """

    feedback: Tensor

    def __init__(self, network: LeakyNetwork, feedback: Float[Tensor, "unit output"]):
        super().__init__(network.n_inputs, network.n_units, network.n_outputs)
        self.of = network
        self.register_buffer("feedback", feedback)

    def initial(self, n: int) -> Rates:
        """Give a silent network."""
        return self.of.initial(n)

    def step(self, x: Float[Tensor, "sample input"], state: Rates) -> Rates:
        """Advance the rates by one time step."""
        drive = self.of.preactivation(x, state) + self.readout(state) @ self.feedback.T
        return state + self.of.alpha * (self.of.activation(drive) - state)

    def rates(self, state: Rates) -> Rates:
        """Give the rates."""
        return state

    def readout(self, state: Rates) -> Float[Tensor, "sample output"]:
        """Give the outputs."""
        return self.of.readout(state)


class _Learning(FedBack):
    """A network with feedback that solves for its read-out after each step."""

    def __init__(
        self,
        network: LeakyNetwork,
        feedback: Float[Tensor, "unit output"],
        wanted: Float[Tensor, "sample time output"],
        inverse: Inverse,
        weights: Weights,
    ):
        super().__init__(network, feedback)
        self.wanted, self.inverse, self.weights = iter(wanted.double().unbind(1)), inverse, weights

    def step(self, x: Float[Tensor, "sample input"], state: Rates) -> Rates:
        state = super().step(x, state)
        self.inverse, self.weights = recursive_least_squares(
            self.inverse, self.weights, _with_one(state), next(self.wanted)
        )
        return state

    def readout(self, state: Rates) -> Float[Tensor, "sample output"]:
        return (_with_one(state) @ self.weights).to(state.dtype)


def _with_one(rates: Rates) -> Float[Tensor, "sample regressor"]:
    return torch.cat([rates, torch.ones_like(rates[:, :1])], 1).double()


def recursive_least_squares(
    inverse: Inverse,
    weights: Weights,
    regressors: Float[Tensor, "sample regressor"],
    wanted: Float[Tensor, "sample output"],
) -> tuple[Inverse, Weights]:
    r"""Take in samples, all at once, which gives what one after the other gives.

    .. math::
        L L^\top = I + R P R^\top, \qquad G = L^{-1} R P, \qquad P \leftarrow P - G^\top G, \qquad
        w \leftarrow w - G^\top L^{-1} (R w - f)

    By this root P stays symmetric; otherwise rounding would grow from step to step.

    Examples
    --------
    >>> P, w, r = torch.eye(1), torch.zeros(1, 1), torch.ones(3, 1)
    >>> [round(each.item(), 5) for each in recursive_least_squares(P, w, r, torch.full((3, 1), 8.0))]
    [0.25, 6.0]
    """
    projected = regressors @ inverse
    own = torch.eye(len(regressors), dtype=inverse.dtype, device=inverse.device)
    root = torch.linalg.cholesky(own + projected @ regressors.T)
    gain = torch.linalg.solve_triangular(root, projected, upper=False)
    error = torch.linalg.solve_triangular(root, regressors @ weights - wanted, upper=False)
    return inverse - gain.T @ gain, weights - gain.T @ error
