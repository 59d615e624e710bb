"""A gated recurrent network."""

from jaxtyping import Float
from torch import Tensor, nn

from brainalign.networks.recurrent import RecurrentNetwork, State


class GRU(RecurrentNetwork):
    """Gated recurrent units (Cho et al. 2014, as torch has them) with a linear read-out.

    Parameters
    ----------
    n_inputs, n_outputs
        Numbers of inputs at each time step and of outputs.
    units
        Number of recurrent units.

    Examples
    --------
    >>> network = GRU(3, 2, units=10)
    >>> tuple(network.readout(network.initial(4)).shape)
    (4, 2)
    """

    def __init__(self, n_inputs: int, n_outputs: int, units: int = 128):
        super().__init__(n_inputs, units, n_outputs)
        self.cell = nn.GRUCell(n_inputs, units)
        self.head = nn.Linear(units, n_outputs)

    def initial(self, n: int) -> State:
        """Give a silent network."""
        return self.head.weight.new_zeros(n, self.n_units)

    def step(self, x: Float[Tensor, "sample input"], state: State) -> State:
        """Advance the units by one time step."""
        return self.cell(x, state)

    def rates(self, state: State) -> State:
        """Give the units' activity, which is the state."""
        return state

    def readout(self, state: State) -> Float[Tensor, "sample output"]:
        """Give the linear read-out."""
        return self.head(state)
