"""What rules share that perturb all weights at once and are told what becomes of the batch's cost."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from brainalign.rules.linear_maps import Call, calls_of_maps
from brainalign.rules.perturbations import (
    TotalCost,
    check_parameters,
    chunks,
    running_statistics,
    same_draws,
    task_gradient,
    vectorised,
)
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.tasks.task import Batch, Task
from brainalign.tasks.total_cost import total_cost


@dataclass(frozen=True)
class PerturbedWeights(LearningRule):
    r"""Costs at parameters with Gaussian noise, :math:`\theta + \sigma \xi_k`, say how they should change.

    One pass without noise comes first: it moves the running statistics of normalisation, as training does,
    which the perturbed passes leave alone.

    Parameters
    ----------
    samples
        Number of perturbations.
    sigma
        Standard deviation of the noise.
    """

    samples: int = 16
    sigma: float = 1e-3

    antithetic = True
    """Whether each perturbation is compared with its opposite; else with the network as it is."""
    family = "scalar feedback"
    locality = "a synapse's own noise, and a number for all"
    phases = 2

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network has parameters that may change."""
        check_parameters(network)

    @abstractmethod
    def slopes(
        self, costs: Float[Tensor, " perturbation"], compared: Float[Tensor, " perturbation"]
    ) -> Float[Tensor, " perturbation"]:
        r"""Give the factors of :math:`\xi_k`, whose mean is the update, from pairs of costs."""

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
        parameters = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
        clean, n_bytes = _clean_cost(network, task, batch)
        n_bytes = 2 * n_bytes + 3 * sum(each.nbytes for each in parameters.values())
        draws = _Draws(parameters, chunks(self.samples, n_bytes), generator)

        def costs(noise: dict[str, Tensor], by: float) -> Tensor:
            points = {name: torch.add(parameters[name], each, alpha=by) for name, each in noise.items()}
            return _costs_at(network, task, batch, points, loop)

        pairs = []
        for noise, size in zip(draws, draws.sizes, strict=True):
            compared = costs(noise, -self.sigma) if self.antithetic else clean.expand(size)
            pairs.append(torch.stack([costs(noise, self.sigma), compared]))
        slopes = self.slopes(*torch.cat(pairs, dim=1)) / self.samples
        total = {name: torch.zeros_like(each) for name, each in parameters.items()}
        for noise, part in zip(draws, slopes.split(draws.sizes), strict=True):
            for name, each in noise.items():
                total[name] += torch.tensordot(part.to(each.dtype), each, 1)
        return total


class _Draws:
    """Noise for all parameters, chunk by chunk, the same however often it is gone through.

    A single chunk is kept; several, which may not fit in memory together, are drawn again.
    """

    def __init__(self, parameters: Mapping[str, Tensor], sizes: list[int], generator: torch.Generator):
        self.sizes = sizes
        self._parameters, self._generator = parameters, generator
        self._before = generator.get_state()
        self._only: dict[str, Tensor] = {}

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        if self._only:
            yield self._only
            return
        self._generator.set_state(self._before)
        for size in self.sizes:
            noise = self._drawn(size)
            if len(self.sizes) == 1:
                self._only = noise
            yield noise

    def _drawn(self, size: int) -> dict[str, Tensor]:
        return {
            name: torch.randn(size, *each.shape, generator=self._generator, dtype=each.dtype).to(each.device)
            for name, each in self._parameters.items()
        }


def _clean_cost(network: nn.Module, task: Task, batch: Batch) -> tuple[Tensor, int]:
    """Give the cost without noise, and the bytes of what the network's linear maps answer."""
    n_bytes = 0

    def note(original: Call, *args, **more) -> Tensor:
        nonlocal n_bytes
        answer = original(*args, **more)
        n_bytes += answer.nbytes
        return answer

    with calls_of_maps(note), same_draws():
        return total_cost(network, task, batch), n_bytes


def _costs_at(
    network: nn.Module, task: Task, batch: Batch, points: Mapping[str, Tensor], loop: bool = False
) -> Float[Tensor, " perturbation"]:
    """Give the total cost at each of several settings of the network's parameters."""
    count, whole = len(next(iter(points.values()))), TotalCost(network, task)
    # Each perturbation has running statistics of its own to move, which are then forgotten.
    statistics = {name: torch.stack([each] * count) for name, each in running_statistics(network).items()}
    given = {f"network.{name}": each for name, each in (statistics | dict(points)).items()}

    def cost(*values: Tensor) -> tuple[Tensor]:
        return (functional_call(whole, dict(zip(given, values, strict=True)), (batch,)),)

    return vectorised(cost, list(given.values()), loop)[0]
