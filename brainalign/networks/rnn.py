"""A vanilla recurrent network of leaky units."""

from torch import nn

from brainalign.errors import BrainalignError
from brainalign.networks.layered import find_activation
from brainalign.networks.recurrent import LeakyNetwork


class RNN(LeakyNetwork):
    r"""Leaky rate units with dense recurrent weights, :math:`W_{ij} \sim N(0, g^2 / N)`.

    Parameters
    ----------
    n_inputs, n_outputs
        Numbers of inputs at each time step and of outputs.
    units
        Number of recurrent units, N.
    activation
        ``tanh``, ``relu``, ``sigmoid`` or ``linear``.
    alpha
        Time step over time constant, above 0 and up to 1.
    gain
        g; without inputs, activity of tanh units is chaotic above 1 (Sompolinsky, Crisanti & Sommers 1988).

    Raises
    ------
    BrainalignError
        An ``alpha`` above 1.

    Examples
    --------
    >>> network = RNN(3, 2, units=10)
    >>> tuple(network.readout(network.initial(4)).shape)
    (4, 2)
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        units: int = 128,
        activation: str = "tanh",
        alpha: float = 0.2,
        gain: float = 1.2,
    ):
        if alpha > 1:
            raise BrainalignError(
                f"Option alpha of rnn is {alpha:g}; a time step is one time constant at most."
            )
        super().__init__(n_inputs, units, n_outputs, find_activation(activation)(), alpha)
        nn.init.normal_(self.recurrent.weight, std=gain / units**0.5)
        nn.init.normal_(self.input.weight, std=1 / n_inputs**0.5)
        nn.init.normal_(self.head.weight, std=1 / units**0.5)
        nn.init.zeros_(self.input.bias)
        nn.init.zeros_(self.head.bias)
