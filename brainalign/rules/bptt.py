"""Backprop through time: backprop on a network with a state, by its name in that field."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from brainalign.rules.backprop import Backprop
from brainalign.rules.recurrent_trials import check_recurrent
from brainalign.tasks.task import Task


@dataclass(frozen=True)
class BPTT(Backprop):
    r"""Backprop through time (Werbos 1990), by autograd, on any recurrent network.

    .. math::
        \Delta W = -\eta \sum_t \delta_t h_{t-1}^\top, \qquad
        \delta_t = \frac{\partial C}{\partial u_t} \text{ through all later steps}

    In closed loop errors come back through the body and what it senses as well. Spiking units have the slope
    that their network gives a spike.
    """

    name = "bptt"
    feedback = "errors back through time and the forward weights, transposed"
    locality = "none: a synapse must know others' weights, and the future"
    source = "Werbos 1990, Proc IEEE 78:1550"
    optimizer = "adam:lr=0.003"
    of_time: ClassVar[bool] = True

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is recurrent."""
        check_recurrent(self.name, network)
