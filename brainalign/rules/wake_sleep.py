"""Wake-sleep: awake, generative weights learn from what is recognised; asleep, recognition from dreams."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.names import unknown_name
from brainalign.networks.layered import Layer
from brainalign.rules.binary_units import drawn_binary, needs_chances, needs_sigmoid
from brainalign.rules.generative_rule import (
    GENERATIVE,
    GenerativeRule,
    generative_gradient,
    generative_maps,
    normal,
)
from brainalign.rules.inverses import Inverse
from brainalign.rules.relaxation import Activities
from brainalign.rules.rule import State, Update
from brainalign.tasks.task import Batch, Task

VISIBLE = ("gaussian", "binary")
TOP = GENERATIVE + "top"


@dataclass(frozen=True)
class WakeSleep(GenerativeRule):
    r"""A Helmholtz machine by the wake-sleep algorithm (Hinton et al. 1995), on a stack of sigmoid layers.

    .. math::
        \text{wake, } h \sim Q(h \mid v): \quad \Delta G_l = \eta\, (h_{l-1} - p_G(h_l))\, h_l^\top, \qquad
        \text{sleep, } (v, h) \sim P: \quad \Delta R_l = \eta\, (h_l - q_R(h_{l-1}))\, h_{l-1}^\top

    with :math:`h_0 = v`, hidden units that are 0 or 1, their chances :math:`q_R = \sigma(R_l h_{l-1} + b_l)`
    upwards, by the network's own weights, and :math:`p_G = \sigma(G_l h_l + c_l)` downwards; units of the
    topmost layer are drawn by biases alone. Wake is the gradient of :math:`E_Q[\log P(v, h)]`; sleep lowers
    :math:`KL(P(h \mid v) \Vert Q(h \mid v))` where the bound on :math:`\log p(v)` has it the other way round,
    so that the bound may fall for a while. What is probed is the network itself: chances in place of draws.

    Parameters
    ----------
    visible
        ``gaussian``: inputs are Gaussian around :math:`G_1 h_1 + c_1`, of a variance of 1. ``binary``: they are
        0 or 1, and grey levels between count as chances.
    """

    visible: str = "gaussian"

    name = "wake_sleep"
    feedback = "generative weights of their own, which learn"
    locality = "presynaptic activity, and the postsynaptic unit's activity less its chance"
    passes = 6.0
    source = "Hinton, Dayan, Frey & Neal 1995, Science"
    optimizer = "adam:lr=1e-3"
    activation = "sigmoid"

    def __post_init__(self):
        if self.visible not in VISIBLE:
            raise unknown_name("kind of visible units", self.visible, VISIBLE)

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless, besides, hidden units are sigmoid, and inputs can be chances where they are binary."""
        super().check(network, task)
        needs_sigmoid(self.name, self.hidden(network))
        if self.visible == "binary":
            needs_chances(self.name, task)

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw the generative maps; biases of the topmost layer are 0."""
        top = self.hidden(network)[-1].linear.weight
        return super().init(network, task, generator) | {TOP: top.detach().new_zeros(len(top))}

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give the update of generative weights, then that of recognition weights, on as many dreams."""
        layers = self.hidden(network)
        maps = generative_maps(layers, state, [nn.Identity()] * len(layers))
        recognised = self.recognise(layers, batch.inputs, generator)
        yield self.wake(maps, recognised, state[TOP])
        yield self.sleep(layers, self.dream(maps, recognised, state[TOP], generator))

    @torch.no_grad()
    def recognise(
        self, layers: Sequence[Layer], inputs: Float[Tensor, "sample ..."], generator: torch.Generator
    ) -> Activities:
        """Draw the hidden layers given the inputs, which come first."""
        activities = [inputs]
        for layer in layers:
            activities.append(drawn_binary(layer.activation(layer.preactivation(activities[-1])), generator))
        return activities

    @torch.no_grad()
    def wake(self, maps: Sequence[Inverse], activities: Activities, top: Float[Tensor, " unit"]) -> Update:
        """Give the gradient of −log P(v, h) at generative weights, the mean over samples."""
        n = len(activities[0])
        of_top = (of_top_layer(top, activities[-1]) - activities[-1]) / n
        update = {TOP: of_top.transpose(0, 1).flatten(1).sum(1)}
        for place, each in enumerate(maps):
            use = each.use(activities[place + 1], activities[place])
            error = self.expected(place, use.answer) - activities[place]
            update |= generative_gradient(each, use, error / n)
        return update

    @torch.no_grad()
    def dream(
        self,
        maps: Sequence[Inverse],
        like: Activities,
        top: Float[Tensor, " unit"],
        generator: torch.Generator,
    ) -> Activities:
        """Draw all layers from the top down, in the shapes of those of `like`; inputs come first."""
        activities = [drawn_binary(of_top_layer(top, like[-1]), generator)]
        for place in reversed(range(len(maps))):
            mean = self.expected(place, maps[place](activities[0], like[place]))
            if self.gaussian(place):
                activities.insert(0, mean + normal(mean, generator))
            else:
                activities.insert(0, drawn_binary(mean, generator))
        return activities

    @torch.no_grad()
    def sleep(self, layers: Sequence[Layer], activities: Activities) -> Update:
        """Give the gradient of −log Q(h | v) at recognition weights, the mean over dreams."""
        update: Update = {}
        for layer, h, above in zip(layers, activities, activities[1:], strict=False):
            chances = layer.activation(layer.preactivation(h))
            update |= layer.weight_gradient((chances - above) / len(h), h)
        return update

    def gaussian(self, place: int) -> bool:
        """Say whether what the layer at `place` was given is Gaussian, and not 0 or 1."""
        return place == 0 and self.visible == "gaussian"

    def expected(self, place: int, generated: Float[Tensor, "sample ..."]) -> Float[Tensor, "sample ..."]:
        """Give the mean of what the layer at `place` was given, from what its generative map says."""
        return generated if self.gaussian(place) else generated.sigmoid()


def of_top_layer(top: Float[Tensor, " unit"], like: Float[Tensor, "sample ..."]) -> Float[Tensor, "sample ..."]:
    """Give the topmost layer's chances before anything is seen, the same in each sample and place."""
    return top.sigmoid().view(-1, *[1] * (like.ndim - 2)).expand_as(like)
