"""A recurrent network of excitatory and inhibitory units."""

import torch
from torch import Tensor, nn

from brainalign.errors import BrainalignError
from brainalign.networks.recurrent import LeakyNetwork


class EIRNN(LeakyNetwork):
    r"""Leaky rectified units, each either excitatory or inhibitory (Dale's law; Song, Yang & Wang 2016).

    Units are excitatory first, inhibitory after; no unit contacts itself, and only excitatory ones are read
    out. Weights start exponentially distributed in size, inhibitory ones stronger so that each unit's
    excitation and inhibition balance on average, scaled to spectral radius `radius`. After every change by a
    learning rule, weights of the wrong sign are set to 0 (`constrain`), so that any rule trains the network.

    Parameters
    ----------
    n_inputs, n_outputs
        Numbers of inputs at each time step and of outputs.
    units
        Number of recurrent units.
    excitatory
        Share of excitatory units.
    alpha
        Time step over time constant, above 0 and up to 1.
    radius
        Largest modulus of the eigenvalues of the initial recurrent weights.

    Raises
    ------
    BrainalignError
        No unit of one of the two kinds, or an ``alpha`` above 1.

    Examples
    --------
    >>> network = EIRNN(3, 2, units=10)
    >>> network.signs.tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0]
    """

    signs: Tensor

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        units: int = 128,
        excitatory: float = 0.8,
        alpha: float = 0.2,
        radius: float = 1.0,
    ):
        n_excitatory = round(excitatory * units)
        if not 0 < n_excitatory < units:
            raise BrainalignError(
                f"Of {units} units of ei_rnn, {n_excitatory} would be excitatory; give `excitatory` a share "
                "that leaves some of either kind."
            )
        if alpha > 1:
            raise BrainalignError(
                f"Option alpha of ei_rnn is {alpha:g}; a time step is one time constant at most."
            )
        super().__init__(n_inputs, units, n_outputs, nn.ReLU(), alpha)
        signs = torch.ones(units)
        signs[n_excitatory:] = -1
        self.register_buffer("signs", signs)
        balance = torch.where(signs > 0, 1.0, n_excitatory / (units - n_excitatory))
        size = torch.empty(units, units).exponential_() * balance
        weight = size * signs * (1 - torch.eye(units))
        nn.init.normal_(self.input.weight, std=1 / n_inputs**0.5)
        nn.init.zeros_(self.input.bias)
        nn.init.normal_(self.head.weight, std=1 / units**0.5)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.recurrent.weight.copy_(radius * weight / torch.linalg.eigvals(weight).abs().max())
        self.constrain()

    @torch.no_grad()
    def constrain(self) -> None:
        """Set weights of the wrong sign, of a unit to itself, and of inhibitory units to the read-out to 0."""
        weight = self.recurrent.weight
        weight.mul_((weight * self.signs) > 0).fill_diagonal_(0)
        self.head.weight.mul_(self.signs > 0)
