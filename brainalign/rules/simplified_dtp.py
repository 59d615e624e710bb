"""Simplified difference target propagation: no layer but the outputs' learns from a gradient."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from brainalign.errors import NeedsError
from brainalign.networks.layered import Layer
from brainalign.rules.rule import State
from brainalign.rules.target_rule import Passed, TargetRule
from brainalign.tasks.task import Task

AUXILIARY = "auxiliary.weight"


@dataclass(frozen=True)
class SimplifiedDTP(TargetRule):
    r"""Simplified difference target propagation (Bartunov et al. 2018), on a plain stack of layers.

    .. math::
        \hat h_L = h_L - \alpha\, \partial C / \partial h_L, \qquad
        \hat h_l = h_l + g_{l+1}(\hat h_{l+1}) - g_{l+1}(h_{l+1}) \quad \text{for all } l < L

    with updates as of `TargetRule` and inverses that learn as in `difference_target_propagation`. A few outputs
    say little of the last hidden layer, so its inverse is poor. With `auxiliary` units z = A h_{L-1} beside the
    outputs (AO-SDTP), linear and with fixed random weights, the inverse is given both, g(h_L, z); the target of
    z is z itself.

    Parameters
    ----------
    auxiliary
        Auxiliary units beside the outputs; Bartunov et al. have 512. None by default.
    """

    auxiliary: int = 0

    name = "simplified_dtp"
    feedback = "targets through learnt inverses, less what these make of the answers"
    locality = "pre- and postsynaptic activity, and the postsynaptic unit's target"
    passes = 7.0
    source = "Bartunov et al. 2018, NeurIPS; rates of Meulemans et al. 2020, NeurIPS"
    optimizer = "adam:lr=6.19e-5"
    from_zero = TargetRule.from_zero | {"auxiliary"}

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise for what no rule of targets can train, and for auxiliary units beside no linear read-out."""
        super().check(network, task)
        head = super().layers(network, {})[-1]
        linear, pointwise = isinstance(head.linear, nn.Linear), isinstance(head.activation, nn.Identity)
        if self.auxiliary and not (linear and pointwise):
            raise NeedsError(
                f"The auxiliary units of {self.name} stand beside a fully connected linear read-out, which "
                "this network does not end in. Leave out auxiliary=…, or choose another network."
            )

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw the auxiliary units' weights, with variance 1 / fan-in, and the inverses."""
        state: State = {}
        if self.auxiliary:
            weight = super().layers(network, state)[-1].linear.weight
            n_in = weight.shape[1]
            drawn = torch.randn(self.auxiliary, n_in, generator=generator, dtype=weight.dtype)
            state[AUXILIARY] = drawn.mul_(n_in**-0.5).to(weight.device)
        return state | self.drawn(self.layers(network, state), generator)

    def layers(self, network: nn.Module, state: State) -> tuple[Layer, ...]:
        """Give the stack, its last layer with the auxiliary units after the outputs."""
        *below, head = super().layers(network, state)
        if AUXILIARY not in state:
            return (*below, head)
        weight, bias = torch.cat([head.linear.weight, state[AUXILIARY]]), head.linear.bias
        wider = nn.Linear(weight.shape[1], len(weight), bias=bias is not None, device="meta")
        wider.weight = nn.Parameter(weight, requires_grad=False)
        if bias is not None:
            wider.bias = nn.Parameter(F.pad(bias, (0, self.auxiliary)), requires_grad=False)
        return (*below, replace(head, linear=wider))

    @torch.no_grad()
    def passed(self, network: nn.Module, inputs: Float[Tensor, "sample ..."], state: State) -> Passed:
        """Run the network, and the auxiliary units beside its outputs."""
        passed = super().passed(network, inputs, state)
        if AUXILIARY not in state:
            return passed
        *below, last, outputs = passed.answers
        z = F.linear(passed.layers[-1].arranged(last), state[AUXILIARY])
        return replace(passed, answers=[*below, last, torch.cat([outputs, z], 1)])

    def output_target(self, passed: Passed, error: Float[Tensor, "sample output"]) -> Float[Tensor, "sample _"]:
        """Give the outputs' target, and the auxiliary units' answers as theirs."""
        return super().output_target(passed, F.pad(error, (0, self.auxiliary)))
