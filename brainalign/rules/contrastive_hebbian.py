"""Contrastive Hebbian learning: Hebb with the outputs clamped, less Hebb with the outputs free."""

from dataclasses import dataclass

import torch
from torch import nn

from brainalign.rules.rule import State, Update
from brainalign.rules.settling_rule import SettlingRule
from brainalign.tasks.task import Batch, Task


@dataclass(frozen=True)
class ContrastiveHebbian(SettlingRule):
    r"""Contrastive Hebbian learning (Movellan 1991) with feedback of gain γ (Xie & Seung 2003), on a stack.

    .. math::
        \Delta W_l = \eta\, \gamma^{l-L} (h_l^+ h_{l-1}^{+\top} - h_l^- h_{l-1}^{-\top})

    at equilibria of `SymmetricStack`: minus with the outputs free, plus with the outputs clamped to
    h − ∂C/∂h, which are the targets under half the squared error. As γ → 0 it is backprop, to O(γ), with
    errors of the outputs that do not hold their activation's slope. Small gains need small tolerances: what
    feedback changes in layer l is of order :math:`\gamma^{L-l}`.
    """

    gain: float = 0.1
    tolerance: float = 1e-6

    name = "contrastive_hebbian"
    family = "activity differences"
    feedback = "its own forward weights, transposed, in an equilibrium with the outputs clamped"
    locality = "pre- and postsynaptic activity at two equilibria, and the layer's depth"
    phases = 2
    passes = 46.0
    source = "Movellan 1991; Xie & Seung 2003, Neural Comput"
    optimizer = "momentum:lr=0.02"
    activation = "tanh"

    @torch.no_grad()
    def update(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Update:
        """Give the minus phase's products less the plus phase's."""
        stack = self.settling(network)
        minus, plus, update = self.two_phases(stack, task, batch, state)
        free, clamped = stack.products(minus), stack.products(plus)
        return update | {name: free[name] - clamped[name] for name in free}
