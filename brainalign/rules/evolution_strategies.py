"""Evolution strategies: a population of noisy networks, each of which pulls as its cost ranks."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.rules.perturbed_weights import PerturbedWeights


@dataclass(frozen=True)
class EvolutionStrategies(PerturbedWeights):
    r"""Evolution strategies (Salimans et al. 2017, algorithm 1, mirrored sampling), on any network.

    .. math::
        \Delta \theta = -\frac{\eta}{2 K \sigma} \sum_k \bigl(F(\theta + \sigma \epsilon_k) -
        F(\theta - \sigma \epsilon_k)\bigr) \epsilon_k, \qquad \epsilon_k \sim N(0, I)

    F is the cost of the batch or, by default, its rank among the 2 K costs of the population, from -1/2 to
    1/2: the update is then the same for any increasing function of the cost, and tells of its gradient only
    the direction. With costs as they are, it is the gradient of the cost averaged over the noise, and equal to
    antithetic weight perturbation, whose σ is to be small.

    Parameters
    ----------
    samples
        Pairs of opposite perturbations, K.
    sigma
        Standard deviation of the noise.
    ranks
        Whether F is the rank.
    """

    samples: int = 32
    sigma: float = 0.02
    ranks: bool = True

    name = "evolution_strategies"
    feedback = "the rank of the whole batch's cost, one number for all weights"
    passes = 65.0
    source = "Salimans et al. 2017, arXiv:1703.03864"
    optimizer = "adam:lr=3e-3"

    def slopes(
        self, costs: Float[Tensor, " perturbation"], compared: Float[Tensor, " perturbation"]
    ) -> Float[Tensor, " perturbation"]:
        """Give the differences of costs, or of their ranks, by the distances of what is compared."""
        if self.ranks:
            costs, compared = centred_ranks(torch.cat([costs, compared])).chunk(2)
        return (costs - compared) / (2 * self.sigma)


def centred_ranks(costs: Float[Tensor, " perturbation"]) -> Float[Tensor, " perturbation"]:
    """Give ranks from -1/2 to 1/2, equal for equal costs; no number for any where one is none.

    Examples
    --------
    >>> centred_ranks(torch.tensor([5.0, 9.0, 7.0]))
    tensor([-0.5000,  0.5000,  0.0000])
    """
    above, at = costs[:, None] > costs, costs[:, None] >= costs
    ranks = (above.sum(1) + at.sum(1) - 1).to(costs.dtype) / 2
    ranks = ranks / max(1, len(costs) - 1) - 0.5
    return torch.where(costs.isnan().any(), costs.new_tensor(float("nan")), ranks)
