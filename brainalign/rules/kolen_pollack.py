"""Kolen–Pollack: forward and feedback weights change alike and decay alike, and so become the same."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from brainalign.rules.learned_feedback import LEARNED_FEEDBACK, LearnedFeedback
from brainalign.rules.linear_maps import feedback_through
from brainalign.rules.rule import State, Update
from brainalign.tasks.task import Batch, Task
from brainalign.tasks.total_cost import gradient


@dataclass(frozen=True)
class KolenPollack(LearnedFeedback):
    r"""Kolen–Pollack learning (Kolen & Pollack 1994; Akrout et al. 2019, eqs. 16–17), on any network.

    .. math::
        \Delta W = -\eta\, \delta_l h_{l-1}^\top - \lambda W, \qquad
        \Delta B = -\eta\, h_{l-1} \delta_l^\top - \lambda B, \qquad
        \delta_l = (B_{l+1} \delta_{l+1}) \circ f'(a_l)

    so that :math:`W - B^\top` shrinks by 1 − λ at each step, whatever is learned; λ is the learning rate times
    the optimiser's weight decay. Without weight decay it stays as it was, and only the angle falls as both
    grow. B is kept in the shape of W, and the two are given the same gradient: exact under ``sgd``, and under
    ``momentum`` as its average goes, whose state is the same function of both. ``adam`` and ``rmsprop`` divide
    each weight by what it has seen itself, its decay too, so that W and B need not meet.

    Parameters
    ----------
    scale
        Standard deviation with which B starts over that of W.
    """

    name = "kolen_pollack"
    feedback = "errors through weights that change and decay as the forward weights do"
    locality = "pre- and postsynaptic activity, and the postsynaptic unit's error, at both synapses alike"
    phases = 1
    passes = 3.0
    source = "Kolen & Pollack 1994, IEEE ICNN; Akrout et al. 2019, NeurIPS"
    optimizer = "sgd:lr=0.1,weight_decay=1e-3"

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give the gradient with errors sent through B, for W and for B."""
        feedback = self.feedback_weights(network, state)
        with feedback_through(network, feedback):
            update = gradient(network, task, batch)
        yield update | {LEARNED_FEEDBACK + name: update[name] for name in feedback if name in update}
