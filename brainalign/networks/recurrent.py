"""Networks with a state that is advanced step by step."""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

State = Float[Tensor, "sample state"]


class RecurrentNetwork(nn.Module):
    """A network that keeps a state from one time step to the next.

    Still an ``nn.Module``: `forward` runs it over a whole sequence. Tasks in closed loop, and learning rules
    that work online, call `step` and `readout` themselves.

    Parameters
    ----------
    n_inputs, n_units, n_outputs
        Numbers of inputs at each time step, of recurrent units, and of outputs.
    """

    def __init__(self, n_inputs: int, n_units: int, n_outputs: int):
        super().__init__()
        self.n_inputs, self.n_units, self.n_outputs = n_inputs, n_units, n_outputs

    @abstractmethod
    def initial(self, n: int) -> State:
        """Give the state before the first step, for a number of samples."""

    @abstractmethod
    def step(self, x: Float[Tensor, "sample input"], state: State) -> State:
        """Advance the state by one time step."""

    @abstractmethod
    def rates(self, state: State) -> Float[Tensor, "sample unit"]:
        """Give the units' activity in a state: what is recorded, and what the read-out sees."""

    @abstractmethod
    def readout(self, state: State) -> Float[Tensor, "sample output"]:
        """Give the outputs in a state."""

    def constrain(self) -> None:  # noqa: B027
        """Bring the weights back in place to what is allowed, after each change; here all is."""

    def forward(self, inputs: Float[Tensor, "sample time input"]) -> Float[Tensor, "sample time output"]:
        """Give the outputs over a sequence of inputs."""
        state, outputs = self.initial(len(inputs)), []
        for x in inputs.unbind(1):
            state = self.step(x, state)
            outputs.append(self.readout(state))
        return torch.stack(outputs, 1)


class LeakyNetwork(RecurrentNetwork):
    r"""Leaky rate units: what rules that follow single synapses over time need to know of a network.

    .. math::
        h_t = (1 - \alpha) h_{t-1} + \alpha f(u_t), \qquad
        u_t = W h_{t-1} + W_{in} x_t + b, \qquad y_t = W_{out} h_t + c

    with :math:`\alpha = dt / \tau` (Murray 2019, eLife 8:e43299). The state is h.

    Parameters
    ----------
    n_inputs, n_units, n_outputs
        As in any recurrent network.
    activation
        The pointwise activation f.
    alpha
        Time step over time constant, above 0 and up to 1.
    """

    def __init__(self, n_inputs: int, n_units: int, n_outputs: int, activation: nn.Module, alpha: float):
        super().__init__(n_inputs, n_units, n_outputs)
        self.alpha = alpha
        self.input = nn.Linear(n_inputs, n_units)
        self.recurrent = nn.Linear(n_units, n_units, bias=False)
        self.head = nn.Linear(n_units, n_outputs)
        self.activation = activation

    def initial(self, n: int) -> State:
        """Give a silent network."""
        return self.head.weight.new_zeros(n, self.n_units)

    def preactivation(self, x: Float[Tensor, "sample input"], state: State) -> State:
        """Give u from the inputs and the state before."""
        return self.input(x) + self.recurrent(state)

    def step(self, x: Float[Tensor, "sample input"], state: State) -> State:
        """Advance the rates by one time step."""
        return state + self.alpha * (self.activation(self.preactivation(x, state)) - state)

    def rates(self, state: State) -> State:
        """Give the rates, which are the state."""
        return state

    def readout(self, state: State) -> Float[Tensor, "sample output"]:
        """Give the linear read-out of the rates."""
        return self.head(state)
