"""A gradient taken apart into presynaptic activity and errors, so that either can be exchanged."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.rules.noisy_maps import NoisyMap, gradient_of_maps, pass_through_maps
from brainalign.tasks.task import Batch, Task

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class GradientBySample:
    r"""The gradient of a mean cost by the weights of linear maps, :math:`\sum_i \delta_{il} h_{i,l-1}^\top`.

    Parameters
    ----------
    network
        The network.
    maps
        The calls of its linear maps.
    errors
        δ, the cost's derivative by what each call answered, of shape (sample, …).
    inputs
        h, what entered it.
    """

    network: nn.Module
    maps: Sequence[NoisyMap]
    errors: Sequence[Tensor]
    inputs: Sequence[Tensor]

    @torch.no_grad()
    def by(self, errors: Sequence[Tensor]) -> Weights:
        """Give the weights' gradient that other errors would make of the same presynaptic activity."""
        found = gradient_of_maps(self.network, self.maps, errors, self.inputs)
        return {each.name: found[each.name] for each in self.maps}

    def true(self) -> Weights:
        """Give the weights' gradient."""
        return self.by(self.errors)

    def permuted(self, order: Tensor) -> Weights:
        """Give what it would be if each sample had the errors of another."""
        return self.by([error[order] for error in self.errors])

    def activity(self) -> Weights:
        """Give the presynaptic activity, summed over samples and places, of each weight."""
        return self.by([torch.ones_like(error) for error in self.errors])


def gradient_by_sample(network: nn.Module, cost: Task, batch: Batch) -> GradientBySample:
    """Take the gradient of a cost's mean over a batch apart.

    Raises
    ------
    NeedsError
        There are maps whose input is not laid out sample by sample, as in attention.

    Examples
    --------
    >>> from brainalign.networks import MLP
    >>> from brainalign.tasks import find_task
    >>> task = find_task("classification:digits")
    >>> gradient = gradient_by_sample(MLP(8, 10, 1, hidden=(20,)), task, next(task.seen(50)))
    >>> {name: tuple(each.shape) for name, each in gradient.true().items()}
    {'blocks.0.linear.weight': (20, 64), 'head.weight': (10, 20)}
    """
    costs, maps, inputs = pass_through_maps(network, cost, batch)
    mixed = [each.name for each in maps if len(each.answer) != len(batch)]
    if mixed:
        raise NeedsError(
            f"This network cannot be tested because the input of {mixed[0]!r} is not laid out sample by "
            "sample, so that errors cannot be permuted over samples. Choose a network without attention."
        )
    errors = torch.autograd.grad(costs.mean(), [each.answer for each in maps])
    return GradientBySample(network, maps, errors, [each.detach() for each in inputs])
