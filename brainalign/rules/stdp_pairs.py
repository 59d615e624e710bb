"""Spike-timing-dependent plasticity by pairs of spikes, while activity settles under a nudge."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, exp

import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.networks.layered import Layer
from brainalign.rules.relaxation import Activities
from brainalign.rules.rule import Update
from brainalign.rules.stdp import STDP, Visit
from brainalign.rules.symmetric_stack import SymmetricStack

HOLD = 4
"""Time constants of the longer window for which synapses are open at either equilibrium."""

Trains = Float[Tensor, "time ..."]


@dataclass(frozen=True)
class STDPPairs(STDP):
    r"""Pair-based STDP (Gerstner et al. 1996; Song, Miller & Abbott 2000) on Poisson spikes, on a stack.

    .. math::
        \Delta W_{ji} = \frac{\eta}{\beta r^2} \sum_{t_i} \sum_{t_j} K(t_j - t_i), \qquad
        K(s) = \begin{cases} a_+ e^{-s / \tau_+} & s > 0 \\ -a_- e^{s / \tau_-} & s < 0 \end{cases}

    over presynaptic spikes t_i of the nudged relaxation of `STDP`, and postsynaptic spikes t_j; each neuron
    fires at r times its activity h(t). Since :math:`\langle \Delta W_{ji} \rangle = \frac{\eta}{\beta}
    \int h_i(t) \int K(s)\, h_j(t + s)\, ds\, dt`, windows of equal areas, :math:`a_+ \tau_+ = a_- \tau_-`,
    give :math:`a_+ \tau_+^2 + a_- \tau_-^2` times `STDP` in rates, where rates change slowly: 1 by default, of
    which time steps of 0.5 leave 0.98. Other areas add a Hebbian term of the rates themselves.

    Which pairs count matters: windows of one shape are antisymmetric, so that over all pairs of any stretch of
    time a synapse and its twin change by opposite amounts. Here a presynaptic spike opens the synapse, whose
    pairs may begin before the relaxation or end after it, where activity is as at the equilibria; these
    postsynaptic spikes count by their mean. Activity of either sign is a pair of neurons that fire for its
    positive and for its negative part, and whose spikes count with its sign. A bias has a presynaptic neuron
    that fires regularly, at r.

    Parameters
    ----------
    rate
        r, spikes in a neuron's time constant at an activity of 1, of the many neurons that share an activity:
        errors in lower layers are faint, and fewer spikes drown them.
    tau_plus, tau_minus
        τ₊ and τ₋, in time constants of the neurons.
    a_plus, a_minus
        a₊ and a₋.
    """

    rate: float = 1000.0
    tau_plus: float = 1.0
    tau_minus: float = 1.0
    a_plus: float = 0.5
    a_minus: float = 0.5
    tolerance: float = 1e-3

    name = "stdp_pairs"
    locality = "times of pre- and postsynaptic spikes"
    passes = 139.0
    source = (
        "Bengio, Mesnard, Fischer, Zhang & Wu 2015 (arXiv:1509.05936); Song, Miller & Abbott 2000, Nat Neurosci"
    )

    def changes(
        self, stack: SymmetricStack, run: Callable[[Visit], Activities], generator: torch.Generator
    ) -> list[Update]:
        """Give each layer's sum over pairs of spikes and samples, over r²."""
        path: list[Activities] = []
        run(path.append)
        held = ceil(HOLD * max(self.tau_plus, self.tau_minus) / self.dt)
        path = [path[0]] * held + path + [path[-1]] * held
        activities = [torch.stack(each) for each in zip(*path, strict=True)]
        trains = [self.spikes(each, generator) for each in activities]
        met = [self.met(*each) for each in zip(trains, activities, strict=True)]
        found = []
        for place, layer in enumerate(stack.layers):
            twin = (trains[place + 1], met[place]) if self.both_ways and place else None
            found.append(self.pairs(layer, met[place + 1], trains[place], twin))
        return found

    def spikes(self, activity: Trains, generator: torch.Generator) -> Trains:
        """Draw the spikes of each time step, with the sign of the activity."""
        expected = self.rate * self.dt * activity.abs()
        return torch.poisson(expected.cpu(), generator=generator).to(activity.device) * activity.sign()

    def met(self, train: Trains, activity: Trains) -> Trains:
        """Give what a presynaptic spike at each time step meets of postsynaptic ones: Σ K over these."""
        before, after = exp(-self.dt / self.tau_minus), exp(-self.dt / self.tau_plus)
        expected = self.rate * self.dt * activity
        past = trace(train, before, expected[0])
        future = trace(train.flip(0), after, expected[-1]).flip(0)
        return self.a_plus * future - self.a_minus * past

    def pairs(self, layer: Layer, met: Trains, spikes: Trains, twin: tuple[Trains, Trains] | None) -> Update:
        """Give a layer's sum over pairs, over r².

        Parameters
        ----------
        layer
            The layer.
        met
            What spikes of the layer below meet.
        spikes
            These spikes.
        twin
            The layer's own spikes, and what they meet in the layer below, where the twins count.
        """
        found = layer.weight_gradient(met.flatten(0, 1), spikes.flatten(0, 1))
        weight, bias = f"{layer.name}.weight", f"{layer.name}.bias"
        if twin is not None:
            found[weight] = (
                found[weight] + layer.weight_gradient(*(each.flatten(0, 1) for each in twin))[weight]
            )
        if bias in found:
            found[bias] = self.rate * self.dt * found[bias]
        return {name: each / self.rate**2 for name, each in found.items()}


def trace(train: Trains, decay: float, mean: Float[Tensor, "..."]) -> Trains:
    """Give what is left, at each time step, of the spikes before it.

    Parameters
    ----------
    train
        Spikes.
    decay
        What is left of a spike from one time step to the next.
    mean
        Spikes of a time step before the first, on average.

    Examples
    --------
    >>> trace(torch.tensor([1.0, 0.0, 2.0, 0.0]), 0.5, torch.tensor(3.0))
    tensor([3.0000, 2.0000, 1.0000, 1.5000])
    """
    left = torch.empty_like(train)
    left[0] = mean * decay / (1 - decay)
    for now in range(1, len(train)):
        left[now] = decay * (left[now - 1] + train[now - 1])
    return left
