"""Weight perturbation: all weights move at random, and are kept or taken back by what that does to the cost."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brainalign.rules.perturbations import check_parameters, perturbed_weights_gradient, task_gradient
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.tasks.task import Batch, Task


@dataclass(frozen=True)
class WeightPerturbation(LearningRule):
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

    samples: int = 16
    sigma: float = 1e-3
    antithetic: bool = True

    name = "weight_perturbation"
    family = "scalar feedback"
    feedback = "the change of the whole batch's cost, one number for all weights"
    locality = "a synapse's own noise, and a number for all"
    phases = 2
    passes = 33.0
    source = "Jabri & Flower 1992, IEEE TNN 3:154; Lillicrap et al. 2020, Nat Rev Neurosci 21:335"
    optimizer = "sgd:lr=3e-4"

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network has parameters that may change."""
        check_parameters(network)

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give the estimate of the gradient."""
        yield self.estimate(network, task, batch, generator) | task_gradient(network, task, batch)

    @torch.no_grad()
    def estimate(
        self, network: nn.Module, task: Task, batch: Batch, generator: torch.Generator, loop: bool = False
    ) -> Update:
        """Estimate the gradient; with `loop`, one perturbation after the other."""
        width = 2 * self.sigma if self.antithetic else self.sigma

        def slope(costs: Tensor, compared: Tensor) -> Tensor:
            return (costs - compared) / width

        return perturbed_weights_gradient(
            network,
            task,
            batch,
            generator,
            samples=self.samples,
            sigma=self.sigma,
            antithetic=self.antithetic,
            slope=slope,
            loop=loop,
        )
