"""Batchwise random sign symmetry: the forward weights' signs, with magnitudes drawn anew for each batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.rules.rule import State, Update
from brainalign.rules.sign_symmetry import MAGNITUDE, RandomMagnitudes
from brainalign.tasks.task import Batch, Task

DEVIATION = "deviation."

N_QUANTILES = 2**8
"""Values that a magnitude can have: one for each random byte."""


@dataclass(frozen=True)
class BatchRandomSignSymmetry(RandomMagnitudes):
    r"""Sign-concordant feedback whose magnitudes are drawn anew for each batch (Liao et al. 2016).

    .. math::
        \Delta W_l = -\eta\, \delta_l h_{l-1}^\top, \qquad
        \delta_l = (V_{l+1}^\top \delta_{l+1}) \circ f'(a_l), \qquad V = |M| \circ \mathrm{sign}(W)

    On any network of linear and convolutional maps. M has `scale` times the standard deviation with which W
    starts. V lies :math:`\arccos(2/\pi) = 50.5°` from W where both are Gaussian,
    :math:`\arccos(3/4) = 41.4°` where both are uniform. A weight that is exactly 0 sends no error back. |M| has
    `N_QUANTILES` equally probable values.

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

    name = "sign_symmetry_batch_random"
    feedback = "errors through the signs of the forward weights, with magnitudes drawn anew for each batch"

    def magnitude(self, name: str, weight: Tensor, deviation: Tensor, generator: torch.Generator) -> State:
        """Draw |M|, and keep its deviation for the batches to come."""
        return {DEVIATION + name: deviation, MAGNITUDE + name: self.drawn(weight, deviation, generator)}

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Draw |M| anew, then give what backprop would give if errors came back through V, or its signs."""
        parameters = dict(network.named_parameters())
        names = [key.removeprefix(DEVIATION) for key in state if key.startswith(DEVIATION)]
        weights, deviations = [parameters[name] for name in names], [state[DEVIATION + name] for name in names]
        drawn = self._all_drawn(weights, deviations, generator) if names else ()
        state.update((MAGNITUDE + name, each) for name, each in zip(names, drawn, strict=True))
        yield from super().updates(network, task, batch, state, generator)

    def drawn(self, weight: Tensor, deviation: Tensor, generator: torch.Generator) -> Tensor:
        """Draw |M| of a map."""
        return next(self._all_drawn([weight], [deviation], generator))

    def _all_drawn(
        self, weights: Sequence[Tensor], deviations: Sequence[Tensor], generator: torch.Generator
    ) -> Iterator[Tensor]:
        """Draw |M| of maps from its quantiles, in a quarter of the time that Gaussian numbers take."""
        # Eight bytes from each number of 64 bits, of which each map has its own.
        numbers = [-(-weight.numel() // 8) for weight in weights]
        bits = torch.empty(sum(numbers), dtype=torch.int64).random_(-(2**63), None, generator=generator)
        chosen = bits.view(torch.uint8).int()
        magnitudes = _quantiles(self.distribution, weights[0].dtype).index_select(0, chosen)
        parts = magnitudes.split([8 * each for each in numbers])
        for part, weight, deviation in zip(parts, weights, deviations, strict=True):
            yield part[: weight.numel()].view(weight.shape).to(weight.device) * deviation


@lru_cache
def _quantiles(distribution: str, dtype: torch.dtype) -> Float[Tensor, " quantile"]:
    """Give the middles of equally probable parts of |x|, x of mean 0, scaled to a mean square of 1."""
    share = (torch.arange(N_QUANTILES, dtype=torch.float64) + 0.5) / N_QUANTILES
    found = 2**0.5 * torch.erfinv(share) if distribution == "gaussian" else 3**0.5 * share
    return (found / found.square().mean().sqrt()).to(dtype)
