"""Weight perturbation: all weights move at random, and are kept or taken back by what that does to the cost."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from brainalign.rules.perturbed_weights import PerturbedWeights


@dataclass(frozen=True)
class WeightPerturbation(PerturbedWeights):
    r"""Weight perturbation (Jabri & Flower 1992; Lillicrap et al. 2020, box 1), on any network.

    .. math::
        \Delta \theta = -\frac{\eta}{K} \sum_k \frac{E(\theta + \sigma \xi_k) - E(\theta - \sigma \xi_k)}
        {2 \sigma}\, \xi_k, \qquad \xi_k \sim N(0, I)

    E is the cost of the whole batch, the same for all perturbations; dropout leaves out the same units. The
    estimate of the gradient g has no bias as :math:`\sigma \to 0`, and
    :math:`\mathrm{E} \cos(\hat g, g) \approx \sqrt{K / (K + D + 1)}` for D parameters, so learning rates must
    be smaller than backprop's by about (K + D) / K.

    Parameters
    ----------
    samples
        Perturbations a step, K.
    sigma
        Standard deviation of the noise; a hundredth of a usual weight. With much less, single precision loses
        the difference.
    antithetic
        Whether a perturbation is compared with its opposite. If not, it is with the weights as they are,
        :math:`(E(\theta + \sigma \xi) - E(\theta)) / \sigma`, in half the passes, with a bias of order σ.
    """

    antithetic: bool = True

    name = "weight_perturbation"
    feedback = "the change of the whole batch's cost, one number for all weights"
    passes = 33.0
    source = "Jabri & Flower 1992, IEEE TNN 3:154; Lillicrap et al. 2020, Nat Rev Neurosci 21:335"
    optimizer = "sgd:lr=3e-4"

    def slopes(
        self, costs: Float[Tensor, " perturbation"], compared: Float[Tensor, " perturbation"]
    ) -> Float[Tensor, " perturbation"]:
        """Give the differences of costs by the distances of what is compared."""
        return (costs - compared) / ((2 if self.antithetic else 1) * self.sigma)
