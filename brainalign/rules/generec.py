"""GeneRec: what a unit does in the plus phase less what it did in the minus phase, times its input."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brainalign.names import unknown_name
from brainalign.networks.layered import Layer
from brainalign.rules.rule import State, Update
from brainalign.rules.settling_rule import SettlingRule
from brainalign.tasks.task import Batch, Task

VARIANTS = ("plain", "midpoint", "symmetric")


@dataclass(frozen=True)
class GeneRec(SettlingRule):
    r"""Generalised recirculation (O'Reilly 1996), on a stack of layers with feedback.

    .. math::
        \text{plain:} \quad \Delta W \propto (y^+ - y^-)\, x^{-\top}, \qquad
        \text{midpoint:} \quad \tfrac{1}{2} (y^+ - y^-) (x^+ + x^-)^\top, \\
        \text{symmetric:} \quad \tfrac{1}{2} \left[(y^+ - y^-) (x^+ + x^-)^\top
        + (y^+ + y^-) (x^+ - x^-)^\top\right] = y^+ x^{+\top} - y^- x^{-\top}

    at the two equilibria of `ContrastiveHebbian`, and with its factor :math:`\gamma^{l-L}`; ``symmetric`` is
    that rule exactly. Feedback comes through the transposed weights, with gain γ.

    Parameters
    ----------
    variant
        ``plain``, ``midpoint`` or ``symmetric``.
    """

    variant: str = "plain"

    name = "generec"
    family = "activity differences"
    feedback = "its own forward weights, transposed, in an equilibrium with the outputs clamped"
    locality = "presynaptic activity, and the postsynaptic unit's at two equilibria"
    phases = 2
    passes = 30.0
    source = "O'Reilly 1996, Neural Comput"
    optimizer = "adam:lr=1e-3"

    def __post_init__(self):
        if self.variant not in VARIANTS:
            raise unknown_name("variant of GeneRec", self.variant, VARIANTS)

    @torch.no_grad()
    def update(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Update:
        """Give each layer's change of activity times what it is given, with the sign of a gradient."""
        stack = self.settling(network)
        minus, plus, update = self.two_phases(stack, task, batch, state)
        for place, layer in enumerate(stack.layers):
            factor = -stack.scale(place) / len(batch)
            x, y = (minus[place], plus[place]), (minus[place + 1], plus[place + 1])
            update |= {name: factor * each for name, each in self._change(layer, x, y).items()}
        return update

    def _change(self, layer: Layer, x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Give a layer's ΔW and Δb from what it is given and its answers in both phases, minus first."""
        difference = y[1] - y[0]
        found = layer.weight_gradient(difference, x[0] if self.variant == "plain" else (x[0] + x[1]) / 2)
        if self.variant == "symmetric":
            backwards = layer.weight_gradient((y[0] + y[1]) / 2, x[1] - x[0])
            found[f"{layer.name}.weight"] += backwards[f"{layer.name}.weight"]
        return found
