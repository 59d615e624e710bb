"""Weight mirror: feedback weights come to lie along the forward weights by what layers answer to noise."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from brainalign.errors import NeedsError
from brainalign.networks.layered import LayeredNetwork
from brainalign.rules.learned_feedback import LEARNED_FEEDBACK, LearnedFeedback
from brainalign.rules.linear_maps import feedback_through
from brainalign.rules.rule import State, Update
from brainalign.rules.zero_mean_noise import check_distribution, zero_mean_noise
from brainalign.tasks.task import Batch, Task
from brainalign.tasks.total_cost import gradient

Answer = Callable[[Float[Tensor, "sample output"]], Float[Tensor, "sample output"]]


@dataclass(frozen=True)
class WeightMirror(LearnedFeedback):
    r"""Weight mirrors (Akrout et al. 2019, eq. 7), on any network of linear and convolutional maps.

    .. math::
        \Delta W_l = -\eta\, \delta_l h_{l-1}^\top, \qquad
        \delta_l = (B_{l+1} \delta_{l+1}) \circ f'(a_l), \qquad
        \Delta B_l = \eta_m \left(\sum_k \xi_k\, (W_l \xi_k)^\top - \lambda B_l\right)

    Each batch is followed by a mirror phase, in which every map by itself is shown as many samples of noise ξ
    as there were images, independent and of mean zero. Since :math:`E[\xi (W\xi)^\top] = \sigma^2 W^\top`, B
    comes to lie along W transposed: after K samples, of B = 0, at an angle of
    :math:`\arctan\sqrt{(n_{in} + 1) / K}`. A convolution is shown noise of the size of its filters: at one
    place it is a linear map like others. What is mirrored is the map alone, without biases and activation,
    unless `activated`.

    Without decay B keeps growing, along W, with the number of steps; errors then grow as they go down a
    deep network. B settles at the length of W for :math:`\lambda = K \sigma^2`, 0.107 for batches of 128 and
    noise as it is here.

    Parameters
    ----------
    scale
        Standard deviation with which B starts over that of W.
    noise
        Width of the noise's uniform distribution; Gaussian noise has the same deviation,
        :math:`\sigma` = noise / √12.
    distribution
        Of the noise: ``uniform`` or ``gaussian``.
    mirror_rate
        Learning rate η_m of B over that of W.
    decay
        λ.
    activated
        Whether B learns from :math:`f(W \xi + b)` in place of :math:`W \xi`, as in Akrout et al.'s code; for
        networks that are a stack of layers. Rectified units whose bias is below the noise mirror nothing.
    """

    noise: float = 0.1
    distribution: str = "uniform"
    mirror_rate: float = 0.2
    decay: float = 0.0
    activated: bool = False

    name = "weight_mirror"
    feedback = "errors through weights that mirror the forward weights, learned from noise"
    locality = "pre- and postsynaptic activity, and the postsynaptic unit's error"
    phases = 2
    passes = 5.0
    source = "Akrout, Wilson, Humphreys, Lillicrap & Tweed 2019, NeurIPS"
    optimizer = "sgd:lr=0.05"
    from_zero = frozenset({"decay"})

    def __post_init__(self):
        check_distribution(self.distribution)

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless all linear maps are of a known kind, and their activations where they are needed."""
        super().check(network, task)
        if self.activated and not isinstance(network, LayeredNetwork):
            raise NeedsError(
                f"{self.name}:activated=true needs a stack of layers, such as mlp or convnet, and "
                f"{type(network).__name__} is none. Leave the option out: B then mirrors each linear map alone."
            )

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give the gradient with errors sent through B; then, once it is applied, what B learns from noise."""
        feedback = self.feedback_weights(network, state)
        with feedback_through(network, feedback):
            update = gradient(network, task, batch)
        yield update
        yield {
            LEARNED_FEEDBACK + name: self._mirror_update(network, name, matrix, len(batch), generator)
            for name, matrix in feedback.items()
        }

    @torch.no_grad()
    def _mirror_update(
        self, network: nn.Module, name: str, matrix: Tensor, n_samples: int, generator: torch.Generator
    ) -> Tensor:
        weight = network.get_parameter(name).detach()
        shape = n_samples, weight[0].numel()
        noise = zero_mean_noise(self.distribution, shape, weight, generator) * (self.noise / 12**0.5)
        update = -mirrored(weight, noise, self._answer(network, name))
        return update.add_(matrix, alpha=self.decay) if self.decay else update

    def _answer(self, network: nn.Module, name: str) -> Answer | None:
        if not (self.activated and isinstance(network, LayeredNetwork)):
            return None
        layer = next(each for each in network.layers if f"{each.name}.weight" == name)
        bias = layer.linear.bias
        return lambda a: layer.activation(a if bias is None else a + bias)

    def learning_rate_factor(self, name: str) -> float:
        """Give the mirror's rate for feedback weights."""
        return self.mirror_rate if name.startswith(LEARNED_FEEDBACK) else 1.0


def mirrored(weight: Tensor, noise: Float[Tensor, "sample input"], answer: Answer | None = None) -> Tensor:
    r"""Correlate noise with a map's answers to it: :math:`\sum_k \xi_k f(W \xi_k)^\top`, in the shape of W.

    Parameters
    ----------
    weight
        Weights of the map, (output, …); what follows the outputs is laid out as one vector of inputs.
    noise
        Noise at the map's inputs.
    answer
        From preactivations to answers; none for the map itself.
    """
    response = F.linear(noise, weight.flatten(1))
    if answer is not None:
        response = answer(response)
    return (response.T @ noise).view(weight.shape)
