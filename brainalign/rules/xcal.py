"""XCAL: Leabra's rule, Hebbian above a threshold that floats with what has lately been usual."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from brainalign.errors import NeedsError
from brainalign.networks.layered import Layer
from brainalign.rules.local_heads import one_hot
from brainalign.rules.rule import State, Update
from brainalign.rules.settling_rule import SettlingRule
from brainalign.rules.stack_needs import needs_categories
from brainalign.tasks.task import Batch, Task

AVERAGE = "average."
SILENT, REVERSAL = 1e-4, 0.1
AVERAGE_TAU, AVERAGE_GAIN, AVERAGE_MIN = 10.0, 2.5, 0.2
LEAST, MOST = 1e-4, 0.5
TILE = 2**17
"""Products of rates at once, as many as stay in the processor's cache."""


@dataclass(frozen=True)
class XCAL(SettlingRule):
    r"""Extended contrastive attractor learning (Leabra 8.5), on fully connected layers with feedback.

    .. math::
        \Delta w_{ij} = \eta \left[ \mathrm{XCAL}(s_{ij}, m_{ij}) + h \lambda_j\,
        \mathrm{XCAL}(s_{ij}, \bar y_j) \right], \qquad
        s_{ij} = \tilde x_i \tilde y_j, \quad m_{ij} = x_i^- y_j^-, \quad \tilde x = (1 - k) x^+ + k x^-

    with the function `xcal`. The short-term average is the plus phase's equilibrium, the medium-term one the
    minus phase's; k is `medium`. Plus has the outputs clamped to one for the category and zero elsewhere.
    :math:`\bar y_j`, the long-term average of a hidden unit, is drawn by a tenth in a batch to 2.5 times the
    unit's mean activity in the minus phase, and is never below 0.2; λ grows with it from 10⁻⁴ to 0.5. Outputs,
    being told what to do, have no such term. Biases learn from :math:`y^+ - y^-`.

    Output units are sigmoid while they settle, and answer with their net input, as logits. An input below 0
    counts as silent. Leabra's own units, inhibition (FFFB), soft bounds and normalised steps are left out.

    Parameters
    ----------
    medium
        k, the share of the medium-term average in what the short-term one learns by.
    hebbian
        h, the weight of the long-term average's term. Without Leabra's inhibition, units are half active to
        begin with, and a weight of 1 silences them.
    """

    medium: float = 0.1
    hebbian: float = 0.01

    name = "xcal"
    family = "activity differences"
    feedback = "its own forward weights, transposed, in an equilibrium with the outputs clamped"
    locality = "pre- and postsynaptic activity at two equilibria, and the postsynaptic unit's long-term average"
    phases = 2
    passes = 26.0
    source = "O'Reilly et al. 2012, Computational Cognitive Neuroscience; constants of github.com/emer/leabra"
    optimizer = "momentum:lr=0.2"
    from_zero = frozenset({"tolerance", "medium", "hebbian"})

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless layers are fully connected, units give rates and the task names categories."""
        super().check(network, task)
        needs_categories(self.name, task)
        for layer in self.layers(network):
            if not isinstance(layer.linear, nn.Linear):
                raise NeedsError(
                    f"Rule {self.name!r} looks at each synapse of a sample and needs fully connected layers; "
                    f"{layer.name!r} is a convolution. Choose mlp, or contrastive_hebbian."
                )
            if not isinstance(layer.activation, nn.Sigmoid):
                raise NeedsError(
                    f"Rule {self.name!r} learns from products of rates, which are between 0 and 1; layer "
                    f"{layer.name!r} has {type(layer.activation).__name__}. Choose activation=sigmoid."
                )

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Start the long-term averages at their least."""
        averages = {
            AVERAGE + layer.name: layer.linear.weight.detach().new_full(
                (len(layer.linear.weight),), AVERAGE_MIN
            )
            for layer in self.layers(network)[:-1]
        }
        return super().init(network, task, generator) | averages

    def layers(self, network: nn.Module) -> tuple[Layer, ...]:
        """Give the layers, with outputs that are rates."""
        *hidden, last = super().layers(network)
        return (*hidden, replace(last, activation=nn.Sigmoid()))

    @torch.no_grad()
    def update(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Update:
        """Give −Δw, the mean over samples, and move the long-term averages on."""
        stack = self.settling(network)
        assert batch.targets is not None
        wanted = one_hot(batch.targets, task.n_outputs, batch.inputs)
        minus = self.settled(stack, state, stack.forward_activities(batch.inputs))
        plus = self.settled(stack, state, [*minus[:-1], wanted], lambda _, outputs: outputs)
        update: Update = {}
        for place, layer in enumerate(stack.layers):
            average = state.get(AVERAGE + layer.name)
            x, y = ([layer.arranged(phase[at]) for phase in (minus, plus)] for at in (place, place + 1))
            update[f"{layer.name}.weight"] = -self.weight_change(x, y, average)
            if layer.linear.bias is not None:
                update[f"{layer.name}.bias"] = (y[0] - y[1]).mean(0)
            if average is not None:
                drawn = average + (AVERAGE_GAIN * minus[place + 1].mean(0) - average) / AVERAGE_TAU
                state[AVERAGE + layer.name] = drawn.clamp(min=AVERAGE_MIN)
        return update

    def weight_change(
        self, x: list[Tensor], y: list[Tensor], average: Float[Tensor, " post"] | None
    ) -> Float[Tensor, "post pre"]:
        """Give Δw, the mean over samples.

        Parameters
        ----------
        x, y
            Pre- and postsynaptic rates (sample, unit), in the minus and in the plus phase.
        average
            Long-term averages of postsynaptic units; None for outputs.
        """
        short = [(1 - self.medium) * plus + self.medium * minus for minus, plus in (x, y)]
        pre, pre_m = short[0].clamp(min=0), x[0].clamp(min=0)
        post, post_m, n = short[1] / REVERSAL, y[0], len(pre)
        at_once, terms = max(1, TILE // pre.numel()), []
        # XCAL(s, θ) = max(s / D, θ) − (1 − D) s / D − θ, which is 0 for a silent s that is put to 0.
        for first in range(0, post.shape[1], at_once):
            rows = slice(first, first + at_once)
            product = F.threshold(post[:, rows, None] * pre[:, None], SILENT / REVERSAL, 0.0, inplace=True)
            below = (1 - REVERSAL) * product.sum(0)
            term = torch.maximum(product, post_m[:, rows, None] * pre_m[:, None]).sum(0) - below
            if average is not None:
                theta = average[rows]
                of_average = torch.maximum(product, theta[:, None], out=product).sum(0) - below
                term += (self.hebbian * hebbian_rate(theta))[:, None] * (of_average - n * theta[:, None])
            terms.append(term)
        return (torch.cat(terms) - post_m.T @ pre_m) / n


def xcal(x: Float[Tensor, "..."], threshold: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    r"""Give the floating threshold's line, bent back to zero for what is small.

    .. math::
        \mathrm{XCAL}(x, \theta) = 0 \text{ if } x < 10^{-4}, \quad x - \theta \text{ if } x > \theta D, \quad
        -x (1 - D) / D \text{ else}, \qquad D = 0.1

    Examples
    --------
    >>> xcal(torch.tensor([0.0, 0.02, 0.3, 0.5, 0.8]), torch.tensor(0.5))
    tensor([ 0.0000, -0.1800, -0.2000,  0.0000,  0.3000])
    """
    bent = torch.where(x > threshold * REVERSAL, x - threshold, -x * (1 - REVERSAL) / REVERSAL)
    return torch.where(x < SILENT, torch.zeros_like(x), bent)


def hebbian_rate(average: Float[Tensor, " unit"]) -> Float[Tensor, " unit"]:
    """Give λ, which grows in a line from the least of the long-term average to the most that it can be.

    Examples
    --------
    >>> hebbian_rate(torch.tensor([0.2, 2.5]))
    tensor([1.0000e-04, 5.0000e-01])
    """
    return LEAST + (MOST - LEAST) * (average - AVERAGE_MIN) / (AVERAGE_GAIN - AVERAGE_MIN)
