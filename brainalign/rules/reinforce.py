"""REINFORCE: stochastic units, whose weights learn by how much better than usual the outcome is."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.networks.untrained import seeded
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

BASELINE = "baseline"


@dataclass(frozen=True)
class Reinforce(LearningRule):
    r"""REINFORCE (Williams 1992, section 6: Gaussian units), on any network of linear and convolutional maps.

    .. math::
        \Delta W_l = \eta\, (R - b) \frac{\xi_l}{\sigma} \frac{\partial \mu_l}{\partial W_l}, \qquad
        a_l = \mu_l + \sigma \xi_l, \quad \mu_l = W_l h_{l-1}, \quad b \leftarrow b + \beta (\bar R - b)

    Every unit, hidden or output, is Gaussian about its preactivation, and h is the activity with noise that
    it was given. The reward R is minus a sample's cost, whatever the task, so that outputs of a classifier are
    Gaussian units as well, rather than a choice among categories. The update's mean is exactly minus the
    gradient of the noisy network's expected cost, for any σ. b starts at the mean reward, without noise, of
    the first training images, and is moved after it was used, so that it adds no bias. Evaluated and probed is
    the network without noise. Parameters that are not of a linear map, such as a normalisation's, stay.

    Parameters
    ----------
    samples
        Draws of the noise for each sample a step.
    sigma
        Standard deviation of the noise. Samples differ in cost whatever the noise, so an update's noise grows
        as 1 / σ.
    rate
        β, by which the baseline b follows the rewards.
    """

    samples: int = 4
    sigma: float = 0.5
    rate: float = 0.1

    name = "reinforce"
    family = "scalar feedback"
    feedback = "each sample's reward over its running mean, one number for all units"
    locality = "presynaptic activity, the unit's own noise, and a number for all"
    phases = 1
    passes = 9.0
    source = "Williams 1992, Mach Learn 8:229"
    optimizer = "momentum:lr=1e-4"
    from_zero = frozenset({"rate"})

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless samples neither share noise nor cost."""
        check_samples_apart(self.name, network, task)
        if self.rate > 1:
            raise NeedsError(
                f"Rule {self.name!r} was given rate={self.rate:g}; the baseline follows by 1 at most."
            )

    @torch.no_grad()
    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Give the baseline its first value."""
        device = next(network.parameters()).device
        batch = next(task.seen(128)).to(device)
        with seeded(int(torch.randint(2**62, (), generator=generator))):
            costs, _, _ = pass_through_maps(network, task, batch)
        return {BASELINE: -costs.mean()}

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give minus the mean of (R − b) ξ/σ ∂μ/∂W, and move the baseline."""
        estimate, reward = self.estimate(network, task, batch, state[BASELINE], generator)
        state[BASELINE] = state[BASELINE] + self.rate * (reward - state[BASELINE])
        yield estimate | task_gradient(network, task, batch)

    @torch.no_grad()
    def estimate(
        self,
        network: nn.Module,
        task: Task,
        batch: Batch,
        baseline: Tensor,
        generator: torch.Generator,
        loop: bool = False,
    ) -> tuple[Update, Tensor]:
        """Estimate the gradient, and give the mean reward; with `loop`, one draw after the other."""
        _, maps, _ = pass_through_maps(network, task, batch)
        total: Update = {}
        rewards = []
        for size in chunks(self.samples, 2 * noise_bytes(maps)):
            noise = draw_noise(maps, size, generator)
            scaled = [self.sigma * each for each in noise]
            costs, inputs = noisy_passes(network, task, batch, scaled, loop, keep_inputs=True)
            rewards.append(-costs)
            factors = -(-costs - baseline) / (self.sigma * self.samples * len(batch))
            deltas = [torch.einsum("kn,kn...->kn...", factors.to(each.dtype), each) for each in noise]
            found = gradient_of_maps(network, maps, _folded(deltas), _folded(inputs))
            total = {name: each + total[name] if name in total else each for name, each in found.items()}
        return total, torch.cat(rewards).mean()


def _folded(stacked: list[Tensor]) -> list[Tensor]:
    """Give draws and samples as one dimension."""
    return [each.flatten(0, 1) for each in stacked]
