"""Uniform sign symmetry: errors go back through the signs of the forward weights alone."""

from dataclasses import dataclass

import torch
from torch import Tensor

from brainalign.rules.rule import State
from brainalign.rules.sign_symmetry import MAGNITUDE, SignSymmetry


@dataclass(frozen=True)
class UniformSignSymmetry(SignSymmetry):
    r"""Uniform sign-concordant feedback (Liao et al. 2016; Moskovitz et al. 2018), on any network.

    .. math::
        \Delta W_l = -\eta\, \delta_l h_{l-1}^\top, \qquad
        \delta_l = (V_{l+1}^\top \delta_{l+1}) \circ f'(a_l), \qquad V = s\, \mathrm{sign}(W)

    Each map has one s, `scale` times the standard deviation with which W starts. V lies
    :math:`\arccos\sqrt{2/\pi} = 37.07°` from Gaussian weights and 30° from uniform ones. A weight that is
    exactly 0 sends no error back.

    Parameters
    ----------
    scale
        s over the standard deviation of W (where W starts constant, over that of 2 / (fan-in + fan-out)).
    manhattan
        Whether weights move by the sign of the batch's gradient alone, all by the same amount.
    normalise
        Whether the incoming weights of each neuron are rescaled after each update to the norm that they
        start with, on average over their map.
    """

    name = "sign_symmetry_uniform"
    feedback = "errors through the signs of the forward weights, transposed"
    source = "Liao, Leibo & Poggio 2016, AAAI; Moskovitz, Litwin-Kumar & Abbott 2018, arXiv:1812.06488"

    def magnitude(self, name: str, weight: Tensor, deviation: Tensor, generator: torch.Generator) -> State:
        """Give the one magnitude of all the map's feedback."""
        return {MAGNITUDE + name: deviation}
