"""Variational EM by neural dynamics: activities settle to likelier ones, from which maps both ways learn."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.rules.directed_model import DirectedModel, recognising_network
from brainalign.rules.generative_rule import GenerativeRule, generative_gradient, generative_maps, normal
from brainalign.rules.local_heads import sample_answers
from brainalign.rules.relaxation import RESIDUAL, Activities, Relaxed
from brainalign.rules.rule import State, Update
from brainalign.rules.stack_needs import stack_of
from brainalign.tasks.task import Batch, Task

MEAN, SECOND_MOMENT = "top.mean", "top.second_moment"
VARIANCE = "variance."


@dataclass(frozen=True)
class VariationalEM(GenerativeRule):
    r"""Variational EM with denoising auto-encoders (Bengio et al. 2015), on a stack of layers, without labels.

    E-step: hidden activities settle from a pass upwards, up the gradient of log p(x, h) as of `DirectedModel`.
    M-step: each map learns its neighbour's activity from its own, under Gaussian noise ε,

    .. math::
        \Delta g_l \propto -\partial\, \tfrac{1}{2} \lVert g_l(h_l + \epsilon) - h_{l-1} \rVert^2, \qquad
        \Delta f_l \propto -\partial\, \tfrac{1}{2} \lVert f_l(h_{l-1} + \epsilon) - h_l \rVert^2

    so that pairs of maps come to be the denoising auto-encoders that the E-step needs. Without noise Δf of the
    first layer is, but for f′, presynaptic activity times the change of postsynaptic activity over the E-step:
    plasticity by spike timing. Generative maps end with the activation of the layer below; inputs are linear.
    What is probed is the activity that has settled. `sample` generates.

    Parameters
    ----------
    noise
        Standard deviation of ε, in all layers.
    rate
        Of each step of the E-step.
    top_down
        κ.
    tolerance
        Largest slope at which activities are settled. 0 takes `limit` steps, and keeps the slope that is
        left in the state as ``residual``.
    limit
        Steps at most.
    memory
        Share of the newest batch in running moments, of the topmost layer and of what generative maps leave.
    """

    noise: float = 0.3
    rate: float = 0.1
    top_down: float = 0.01
    tolerance: float = 0.0
    limit: int = 15
    memory: float = 0.01

    name = "variational_em"
    feedback = "reconstructions by generative weights of their own, which learn"
    locality = "presynaptic activity, and the postsynaptic unit's activity less what the synapses predict"
    passes = 49.0
    source = "Bengio, Lee, Bornschein, Mesnard & Lin 2015 (arXiv:1502.04156)"
    optimizer = "adam:lr=1e-3"
    activation = "tanh"
    from_zero = frozenset({"noise", "top_down", "tolerance"})

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw the generative maps, and make room for moments and the slope that is left."""
        like = self.hidden(network)[0].linear.weight.detach()
        given = [next(task.held_out(1)).inputs, *sample_answers(stack_of(self.name, network), task)]
        state = super().init(network, task, generator) | {RESIDUAL: like.new_zeros(())}
        for layer, x in zip(self.hidden(network), given, strict=False):
            state[VARIANCE + layer.name] = like.new_ones(x.shape[1:])
        n_top = given[-2][0].numel()
        eye = torch.eye(n_top, dtype=like.dtype, device=like.device)
        return state | {MEAN: like.new_zeros(n_top), SECOND_MOMENT: eye}

    def inference(self, network: nn.Module, state: State) -> nn.Module:
        """Give the network whose hidden layers answer what they have settled to."""
        model = self.model(network, state)
        return recognising_network(stack_of(self.name, network), lambda x: self.e_step(model, x).activities)

    def model(self, network: nn.Module, state: State) -> DirectedModel:
        """Give the hidden layers and their generative maps."""
        # Copies of activations, for a model runs them many times, which hooks on the network are not to see.
        layers = tuple(
            replace(layer, activation=copy.deepcopy(layer.activation)) for layer in self.hidden(network)
        )
        ends = [nn.Identity(), *(layer.activation for layer in layers[:-1])]
        return DirectedModel(layers, generative_maps(layers, state, ends), self.top_down)

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give the M-step at the activities that the E-step has come to."""
        model = self.model(network, state)
        settled = self.e_step(model, batch.inputs)
        update, variances = self.m_step(model, [batch.inputs, *settled.activities], generator)
        state[RESIDUAL] = settled.residual
        self._remember(state, settled.activities[-1].flatten(1), variances, batch.step)
        yield update

    def e_step(self, model: DirectedModel, inputs: Float[Tensor, "sample ..."]) -> Relaxed:
        """Settle."""
        return model.settle(inputs, self.rate, self.tolerance, self.limit)

    @torch.no_grad()
    def m_step(
        self, model: DirectedModel, activities: Activities, generator: torch.Generator
    ) -> tuple[Update, dict[str, Tensor]]:
        """Give the gradients of all maps, the mean over samples, and each unit's mean squared error of g.

        Parameters
        ----------
        model
            The maps.
        activities
            The inputs, then the hidden layers.
        generator
            Of the noise.
        """
        noisy = [h + self.noise * normal(h, generator) for h in activities]
        update, variances = {}, {}
        for place, (layer, generative) in enumerate(zip(model.layers, model.maps, strict=True)):
            h, above, n = activities[place], activities[place + 1], len(activities[0])
            a = layer.preactivation(noisy[place])
            answer = layer.activation(a)
            delta = layer.before_activation((answer - above) / n, a, answer)
            use = generative.use(noisy[place + 1], h)
            error = use.answer - h
            update |= layer.weight_gradient(delta, noisy[place])
            update |= generative_gradient(generative, use, error / n)
            variances[VARIANCE + layer.name] = error.square().mean(0)
        return update, variances

    def _remember(
        self,
        state: State,
        top: Float[Tensor, "sample unit"],
        variances: dict[str, Tensor],
        step: int,
    ) -> None:
        share = max(self.memory, 1 / (step + 1))
        found = variances | {MEAN: top.mean(0), SECOND_MOMENT: top.T @ top / len(top)}
        for name, each in found.items():
            state[name] = torch.lerp(state[name], each, share)

    @torch.no_grad()
    def sample(
        self,
        network: nn.Module,
        state: State,
        like: Float[Tensor, "sample ..."],
        generator: torch.Generator,
    ) -> Float[Tensor, "sample ..."]:
        """Generate inputs, from the top down.

        The topmost layer is Gaussian, with the moments that it had; each layer below is Gaussian around what
        its generative map says of the one above under noise, with the variances that were left of it.

        Parameters
        ----------
        network
            The network.
        state
            What the rule keeps.
        like
            Inputs, of which only the number and the shape count.
        generator
            Of all draws.
        """
        model = self.model(network, state)
        *below, top = like, *model.pass_up(like)
        covariance = state[SECOND_MOMENT] - torch.outer(state[MEAN], state[MEAN])
        variances, axes = torch.linalg.eigh(covariance)
        spread = axes * variances.clamp(min=0).sqrt()
        h = (state[MEAN] + normal(top.flatten(1), generator) @ spread.T).view_as(top)
        for layer, generative, x in reversed(list(zip(model.layers, model.maps, below, strict=True))):
            mean = generative(h + self.noise * normal(h, generator), x)
            h = mean + state[VARIANCE + layer.name].sqrt() * normal(x, generator)
        return h
