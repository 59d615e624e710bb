"""Fixed random sign symmetry: the forward weights' signs, with random magnitudes that are drawn once."""

from dataclasses import dataclass

import torch
from torch import Tensor

from brainalign.rules.rule import State
from brainalign.rules.sign_symmetry import MAGNITUDE, RandomMagnitudes


@dataclass(frozen=True)
class FixedRandomSignSymmetry(RandomMagnitudes):
    r"""Sign-concordant feedback of fixed random magnitudes (Liao et al. 2016; Moskovitz et al. 2018).

    .. math::
        \Delta W_l = -\eta\, \delta_l h_{l-1}^\top, \qquad
        \delta_l = (V_{l+1}^\top \delta_{l+1}) \circ f'(a_l), \qquad V = |M| \circ \mathrm{sign}(W)

    On any network of linear and convolutional maps. M is drawn once, with `scale` times the standard
    deviation with which W starts; the signs follow W. While W is as it was drawn, V lies
    :math:`\arccos(2/\pi) = 50.5°` from it where both are Gaussian, :math:`\arccos(3/4) = 41.4°` where both are
    uniform. A weight that is exactly 0 sends no error back.

    Parameters
    ----------
    scale
        Standard deviation of M over that of W (where W starts constant, over that of 2 / (fan-in + fan-out)).
    manhattan
        Whether weights move by the sign of the batch's gradient alone, all by the same amount.
    normalise
        Whether the incoming weights of each neuron are rescaled after each update to the norm that they
        start with, on average over their map.
    distribution
        Of M: ``gaussian`` or ``uniform``.
    """

    name = "sign_symmetry_fixed_random"
    feedback = "errors through the signs of the forward weights, with fixed random magnitudes"

    def magnitude(self, name: str, weight: Tensor, deviation: Tensor, generator: torch.Generator) -> State:
        """Draw |M|."""
        return {MAGNITUDE + name: self.drawn(weight, deviation, generator)}
