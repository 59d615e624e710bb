"""A recurrent network of leaky integrate-and-fire units."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import BrainalignError
from brainalign.networks.local_dynamics import LocalDynamics, LocalNetwork
from brainalign.networks.recurrent import State


class LIF(LocalNetwork):
    r"""Leaky integrate-and-fire units with dense recurrent weights, and a leaky read-out that does not spike.

    .. math::
        v_t = (1 - \alpha) v_{t-1} + \alpha u_t - \theta z_{t-1}, \qquad u_t = W z_{t-1} + W_{in} x_t + b, \\
        z_t = [v_t > \theta], \qquad r_t = (1 - \kappa) r_{t-1} + \kappa z_t, \qquad y_t = W_{out} r_t + c

    z are spikes, and the rates r, which are what is recorded, are spikes per time step, filtered. For
    derivatives a spike changes with the potential by
    :math:`\psi = \gamma \max(0, 1 - |v - \theta| / \theta) / \theta`, by 0 while the unit is refractory (Bellec
    et al. 2018, 2020), so that any rule that takes gradients trains the network.

    Parameters
    ----------
    n_inputs, n_outputs
        Numbers of inputs at each time step and of outputs.
    units
        Number of recurrent units, N.
    alpha
        α, time step over the membrane's time constant, above 0 and up to 1.
    threshold
        θ.
    refractory
        Time steps after a spike in which there is no other.
    readout
        κ, time step over the read-out's time constant, above 0 and up to 1.
    gain
        g, for :math:`W_{ij} \sim N(0, g^2 / N)`.
    gamma
        γ, the largest slope of a spike, times θ.

    Raises
    ------
    BrainalignError
        An ``alpha`` or ``readout`` above 1.

    Examples
    --------
    >>> network = LIF(3, 2, units=10)
    >>> tuple(network.readout(network.initial(4)).shape)
    (4, 2)
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        units: int = 128,
        alpha: float = 0.2,
        threshold: float = 0.5,
        refractory: int = 0,
        readout: float = 0.2,
        gain: float = 1.2,
        gamma: float = 0.3,
    ):
        super().__init__(n_inputs, units, n_outputs)
        self.alpha, self.threshold, self.refractory, self.gamma = alpha, threshold, refractory, gamma
        self._filter_spikes([readout], [0.0])
        self.input = nn.Linear(n_inputs, units)
        self.recurrent = nn.Linear(units, units, bias=False)
        self.head = nn.Linear(units, n_outputs)
        nn.init.normal_(self.recurrent.weight, std=gain / units**0.5)
        nn.init.normal_(self.input.weight, std=1 / n_inputs**0.5)
        nn.init.normal_(self.head.weight, std=1 / units**0.5)
        nn.init.zeros_(self.input.bias)
        nn.init.zeros_(self.head.bias)

    def _filter_spikes(self, steps: Sequence[float], adaptation: Sequence[float]) -> None:
        """Set the filters of the units' spikes, the read-out's first, and what each adds to the threshold."""
        if max(self.alpha, *steps) > 1:
            raise BrainalignError(
                "Time constants of spiking units are given as time step over time constant, found "
                f"{max(self.alpha, *steps):g}; a time step is one time constant at most."
            )
        self.filters, self.adaptation = tuple(steps), tuple(adaptation)

    def initial(self, n: int) -> State:
        """Give a silent network."""
        return self.head.weight.new_zeros(n, (3 + len(self.filters)) * self.n_units)

    def parts(self, state: State) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give potentials, spikes, steps left without a spike, and filtered spikes (sample, filter, unit)."""
        parts = state.unflatten(1, (-1, self.n_units))
        return parts[:, 0], parts[:, 1], parts[:, 2], parts[:, 3:]

    def step(self, x: Float[Tensor, "sample input"], state: State) -> State:
        """Advance potentials, spikes and filtered spikes by one time step."""
        _, _, waiting, filtered = self.parts(state)
        v = self._potential(x, state)
        over = v - self._threshold(filtered)
        free = (waiting <= 0).to(v.dtype)
        psi = self._slope(over) * free
        # The value of a step function with the slope of a triangle.
        spikes = (over > 0).to(v.dtype) * free + psi * (over - over.detach())
        waiting = (waiting - 1).clamp(min=0) + self.refractory * spikes.detach()
        after = [f + k * (spikes - f) for k, f in zip(self.filters, filtered.unbind(1), strict=True)]
        return torch.cat([v, spikes, waiting, *after], 1)

    def _potential(self, x: Float[Tensor, "sample input"], state: State) -> Float[Tensor, "sample unit"]:
        v, spikes, _, _ = self.parts(state)
        return v + self.alpha * (self.input(x) + self.recurrent(spikes) - v) - self.threshold * spikes

    def _threshold(self, filtered: Float[Tensor, "sample filter unit"]) -> Float[Tensor, "sample unit"]:
        threshold = filtered.new_full((), self.threshold)
        for by, each in zip(self.adaptation, filtered.unbind(1), strict=True):
            threshold = threshold + by * each
        return threshold

    def _slope(self, over: Float[Tensor, "sample unit"]) -> Float[Tensor, "sample unit"]:
        return self.gamma * (1 - over.detach().abs() / self.threshold).clamp(min=0) / self.threshold

    def rates(self, state: State) -> Float[Tensor, "sample unit"]:
        """Give spikes per time step, filtered."""
        return self.parts(state)[3][:, 0]

    def readout(self, state: State) -> Float[Tensor, "sample output"]:
        """Give the linear read-out of the rates."""
        return self.head(self.rates(state))

    def local_dynamics(self, x: Float[Tensor, "sample input"], state: State) -> LocalDynamics:
        """Give the derivatives of potential and filtered spikes, which are a unit's hidden variables."""
        _, spikes, waiting, filtered = self.parts(state)
        over = self._potential(x, state) - self._threshold(filtered)
        psi = self._slope(over) * (waiting <= 0)
        leak = psi.new_tensor([1 - each for each in (self.alpha, *self.filters)])
        over_by_state = psi.new_tensor([1 - self.alpha, *(-each for each in self.adaptation)])
        state_by_spike = psi.new_tensor([0.0, *self.filters])
        # Hidden variables come first in memory, so that what is done to one of them is done in one sweep.
        drive = self.alpha * state_by_spike[:, None, None] * psi
        drive[0] = self.alpha
        rate = torch.zeros_like(drive)
        rate[1] = 1
        by_spike = state_by_spike[:, None] * over_by_state
        decay = torch.diag(leak)[..., None, None] + by_spike[..., None, None] * psi
        return LocalDynamics(spikes, decay.permute(2, 3, 0, 1), drive.movedim(0, -1), rate.movedim(0, -1))
