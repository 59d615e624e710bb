"""Node perturbation: all units are noisy, and weights learn by what each sample's noise does to its cost."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from brainalign.rules.noisy_maps import (
    check_samples_apart,
    draw_noise,
    gradient_of_maps,
    noise_bytes,
    noisy_passes,
    pass_through_maps,
)
from brainalign.rules.perturbations import chunks, task_gradient
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.tasks.task import Batch, Task


@dataclass(frozen=True)
class NodePerturbation(LearningRule):
    r"""Node perturbation (Werfel, Xie & Seung 2005), on any network of linear and convolutional maps.

    .. math::
        \Delta W_l = -\frac{\eta}{K} \sum_k \frac{E(a + \sigma \xi_k) - E(a - \sigma \xi_k)}{2 \sigma}\,
        \xi_{kl}\, h_{l-1}^\top, \qquad \xi_k \sim N(0, I)

    Noise enters the preactivations of all layers at once, in a convolutional layer at each place, and each
    sample has its own noise and its own difference of costs. Dropout leaves out the same units with the noise
    and without. The presynaptic activity h is that without noise. The estimate of the errors δ has no
    bias as :math:`\sigma \to 0`, and :math:`\mathrm{E} \cos(\hat\delta, \delta) \approx \sqrt{K / (K + N + 1)}`
    for the N units of a sample. Parameters that are not of a linear map, such as a normalisation's, stay.

    Parameters
    ----------
    samples
        Perturbations a step, K.
    sigma
        Standard deviation of the noise.
    antithetic
        Whether a perturbation is compared with its opposite. If not, it is with the network without noise,
        :math:`(E(a + \sigma \xi) - E(a)) / \sigma`, in about half the passes, with a bias of order σ.
    """

    samples: int = 4
    sigma: float = 1e-2
    antithetic: bool = True

    name = "node_perturbation"
    family = "scalar feedback"
    feedback = "the change of each sample's cost, one number for all units"
    locality = "presynaptic activity, the unit's own noise, and a number for all"
    phases = 2
    passes = 10.0
    source = "Werfel, Xie & Seung 2005, Neural Comput 17:2699; Lillicrap et al. 2020, Nat Rev Neurosci 21:335"
    optimizer = "momentum:lr=0.001"

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless samples neither share noise nor cost."""
        check_samples_apart(self.name, network, task)

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
        clean, maps, inputs = pass_through_maps(network, task, batch)
        deltas = [torch.zeros_like(each.answer) for each in maps]
        for size in chunks(self.samples, noise_bytes(maps)):
            noise = draw_noise(maps, size, generator)
            plus, _ = noisy_passes(network, task, batch, [self.sigma * each for each in noise], loop)
            slopes = (plus - clean) / self.sigma
            if self.antithetic:
                minus, _ = noisy_passes(network, task, batch, [-self.sigma * each for each in noise], loop)
                slopes = (plus - minus) / (2 * self.sigma)
            slopes = slopes / (self.samples * len(clean))
            for delta, each in zip(deltas, noise, strict=True):
                delta += torch.einsum("kn,kn...->n...", slopes.to(each.dtype), each)
        return gradient_of_maps(network, maps, deltas, inputs)
