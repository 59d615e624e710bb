"""Spike-timing-dependent plasticity in rates: presynaptic rate times the postsynaptic rate's change."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import nn

from brainalign.errors import NeedsError
from brainalign.rules.equilibrium_propagation import nudged
from brainalign.rules.output_error import output_error
from brainalign.rules.relaxation import RESIDUAL, Activities, change, relax
from brainalign.rules.rule import State, Update
from brainalign.rules.settling_rule import SettlingRule
from brainalign.rules.symmetric_stack import OfOutputs, SymmetricStack
from brainalign.tasks.task import Batch, Task

Visit = Callable[[Activities], None]
"""Called with the activities at each time step, from the free equilibrium on."""


@dataclass(frozen=True)
class STDP(SettlingRule):
    r"""Presynaptic rate times the postsynaptic rate's change (Bengio et al. 2015), on a stack with feedback.

    .. math::
        \Delta W_{ji} = \frac{\eta}{\beta} \int S_i \frac{dV_j}{dt}\, dt, \qquad
        \frac{dV}{dt} = f(u) - V

    over the relaxation from the free equilibrium to that with the outputs nudged, as of
    `EquilibriumPropagation`; S and V are both the activity h of `SymmetricStack`, and time counts in time
    constants of the neurons. Where the presynaptic rate stays, as at the input, the integral is
    :math:`S_i (V_j(\mathrm{end}) - V_j(\mathrm{start}))`. A synapse and its twin of the way back share one
    weight, which takes the changes of both: :math:`\int S_i \dot S_j + S_j \dot S_i` is the change of
    :math:`S_i S_j`, so that the rule is one-sided equilibrium propagation (Scellier & Bengio 2017, section 4)
    up to O(β dt), and the gradient of the cost up to O(β). One way alone is neither, above the first layer.

    Parameters
    ----------
    beta
        β, the strength of the nudge.
    dt
        Time step of the nudged relaxation, 1 at most.
    both_ways
        Whether weights also take the change of their twins of the way back.
    """

    beta: float = 0.5
    dt: float = 0.5
    both_ways: bool = True
    tolerance: float = 1e-4
    limit: int = 5000

    name = "stdp"
    family = "activity differences"
    feedback = "its own forward weights, transposed, while activity settles under the cost's nudge"
    locality = "presynaptic rate, and the change of the postsynaptic one"
    phases = 2
    passes = 152.0
    source = "Bengio, Mesnard, Fischer, Zhang & Wu 2015 (arXiv:1509.05936); Scellier & Bengio 2017"
    optimizer = "adam:lr=1e-3"

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network settles, the cost is of its outputs and the time step can be."""
        super().check(network, task)
        if not 0 < self.dt <= 1:
            raise NeedsError(
                f"Rule {self.name!r} was given dt={self.dt:g}; it needs a time step above 0 and of 1 time "
                "constant of the neurons at most."
            )

    @torch.no_grad()
    def update(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Update:
        """Give what synapses see of the nudged relaxation, over β, with the sign of a gradient."""
        stack = self.settling(network)
        free = self.settled(stack, state, stack.forward_activities(batch.inputs))
        _, update = output_error(task, batch, free[-1])
        of_outputs = nudged(self.beta, stack.layers[-1].activation.forward, task, batch)
        run = partial(self.relaxation, stack, state, free, of_outputs)
        for place, changes in enumerate(self.changes(stack, run, generator)):
            factor = -stack.scale(place) / (self.beta * len(batch))
            update |= {name: factor * each for name, each in changes.items()}
        return update

    def relaxation(
        self, stack: SymmetricStack, state: State, free: Activities, of_outputs: OfOutputs, visit: Visit
    ) -> Activities:
        """Follow leaky neurons from the free equilibrium to the nudged one, which is given and visited last."""

        def step(h: Activities) -> tuple[Activities, torch.Tensor]:
            visit(h)
            u = [stack.total_input(place, h) for place in range(len(stack.layers))]
            hidden = [layer.activation.forward(each) for layer, each in zip(stack.layers[:-1], u, strict=False)]
            wanted = [h[0], *hidden, of_outputs(u[-1], h[-1])]
            moved = [a + self.dt * (b - a) for a, b in zip(h, wanted, strict=True)]
            return moved, change(h[1:], wanted[1:])

        relaxed = relax(step, free, self.tolerance, self.limit, "The nudged network")
        visit(relaxed.activities)
        state[RESIDUAL] = torch.maximum(state[RESIDUAL], relaxed.residual)
        return relaxed.activities

    def changes(
        self, stack: SymmetricStack, run: Callable[[Visit], Activities], generator: torch.Generator
    ) -> list[Update]:
        """Give each layer's ∫ S dV, the sum over samples, by the names of its parameters."""
        total: list[Update] = [{} for _ in stack.layers]
        last: list[Activities] = []

        def visit(now: Activities) -> None:
            for before, after in pairwise([*last, now]):
                for place, found in enumerate(self.coincidences(stack, before, after)):
                    total[place] = {name: total[place].get(name, 0) + each for name, each in found.items()}
            last[:] = [now]

        run(visit)
        return total

    def coincidences(self, stack: SymmetricStack, before: Activities, after: Activities) -> list[Update]:
        """Give each layer's S dV of one time step, with what comes by the twins."""
        rise = [b - a for a, b in zip(before, after, strict=True)]
        changes = []
        for place, layer in enumerate(stack.layers):
            found = layer.weight_gradient(rise[place + 1], before[place])
            if self.both_ways and place:
                name = f"{layer.name}.weight"
                found[name] = found[name] + layer.weight_gradient(before[place + 1], rise[place])[name]
            changes.append(found)
        return changes
