"""SoftHebb: soft competition within a layer, in which losers unlearn."""

from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import BrainalignError
from brainalign.names import unknown_name
from brainalign.networks.layered import Layer
from brainalign.networks.normalised_stack import NormalisedLayer
from brainalign.rules.hebbian_rule import HebbianRule, by_place, correlation, each_unit
from brainalign.rules.rule import State, Update
from brainalign.tasks.task import Batch, Task

PRECISION = 1e-30
ANTI_HEBBIAN = ("normalised", "always", "never")


@dataclass(frozen=True)
class SoftHebb(HebbianRule):
    r"""SoftHebb (Moraitis et al. 2022; Journé et al. 2023), deep and convolutional.

    .. math::
        \Delta w_i = \eta_l\, \big| \lVert w_i \rVert - 1 \big|^{q} \frac{D_i}{\max |D|}, \qquad
        D_i = \langle \tilde y_i (x - u_i w_i) \rangle, \qquad
        u = W x + b, \quad y = \operatorname{softmax}(u / \tau_l)

    :math:`\tilde y` is y for the unit that wins at a place and −y for the others: Hebbian and anti-Hebbian.
    Weights of units that are active come to a norm of 1, where they rest. The softmax only says who learns:
    layers above are given the network's own answers, and all layers learn at once.

    In layers that normalise their input the defaults are Journé et al.'s for CIFAR-10, where the network that
    goes with them, ``softhebb_net``, sees each image once in batches of 10 (``batch_size=10``): its weights
    start at a norm of 25, so that the competition is hard from the start. In plain layers (``mlp``,
    ``convnet``) inputs are not centred, so that losers that unlearn would turn against the mean input and
    fall silent; there losers do not, as in Moraitis et al., with their temperature.

    Parameters
    ----------
    inverse_temperature
        1/τ of each layer that normalises its input, from the first on, as decimals between hyphens; further
        layers have the last.
    plain_inverse_temperature
        1/τ of all other layers.
    rates
        η of each hidden layer as a factor of the optimiser's learning rate, as `inverse_temperature`.
    anti_hebbian
        Where units that do not win unlearn: in layers that normalise their input (``normalised``), ``always``
        or ``never``. Elsewhere ỹ is y.
    norm_power
        q, by which units slow down that have come to a norm of 1; 0 for one rate.
    """

    inverse_temperature: str = "1-0.65-0.25"
    plain_inverse_temperature: float = 12.0
    rates: str = "1-0.0625-0.125"
    anti_hebbian: str = "normalised"
    norm_power: float = 0.5

    name = "softhebb"
    feedback = "lateral inhibition within the layer: a softmax"
    passes = 2.0
    locality = "pre- and postsynaptic activity, and the layer's softmax"
    source = "Moraitis et al. 2022 (arXiv:2107.05747); Journé et al. 2023, ICLR (arXiv:2209.11883)"
    optimizer = "sgd:lr=0.08"
    from_zero = frozenset({"norm_power"})

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless, besides, the options can be."""
        super().check(network, task)
        if self.anti_hebbian not in ANTI_HEBBIAN:
            raise unknown_name("value of softhebb:anti_hebbian", self.anti_hebbian, ANTI_HEBBIAN)
        for option in ("inverse_temperature", "rates"):
            text = getattr(self, option)
            if not all(each.replace(".", "", 1).isdecimal() for each in _by_layer(text)):
                raise BrainalignError(
                    f"Option softhebb:{option} is {text!r}; expected a decimal for each layer, such as "
                    "1-0.65-0.25."
                )

    def of_layer(self, layer: Layer, place: int) -> "SoftHebb":
        """Give the rule of one layer, in whatever it differs from that of the first plain one."""
        rates = _by_layer(self.rates)
        rule = replace(self, rates=rates[min(place, len(rates) - 1)])
        if not isinstance(layer, NormalisedLayer):
            return rule
        temperatures = _by_layer(self.inverse_temperature)
        temperature = float(temperatures[min(place, len(temperatures) - 1)])
        unlearn = "never" if self.anti_hebbian == "never" else "always"
        return replace(rule, plain_inverse_temperature=temperature, anti_hebbian=unlearn)

    def layer_update(self, layer: Layer, x: Tensor, a: Tensor, y: Tensor, batch: Batch, state: State) -> Update:
        """Give −D / max|D|, each unit's times how far its norm is from 1 and times the layer's rate."""
        weight, competing = layer.linear.weight, self.competition(a)
        change = correlation(layer, competing, x) - each_unit(by_place(competing * a).mean(0), weight)
        away = (weight.flatten(1).norm(dim=1) - 1).abs() ** self.norm_power
        rate = float(_by_layer(self.rates)[0]) / change.abs().max().clamp(min=PRECISION)
        return {f"{layer.name}.weight": -rate * each_unit(away, change)}

    def competition(self, driven: Float[Tensor, "sample unit ..."]) -> Float[Tensor, "sample unit ..."]:
        """Give ỹ of a plain layer; of another by the rule that `of_layer` gives.

        Examples
        --------
        >>> import torch
        >>> SoftHebb(anti_hebbian="always").competition(torch.tensor([[0.0, 0.0, 1.0]])).sign()
        tensor([[-1., -1.,  1.]])
        """
        y = (self.plain_inverse_temperature * driven).softmax(1)
        if self.anti_hebbian != "always":
            return y
        return (-y).scatter(1, y.argmax(1, keepdim=True), y.amax(1, keepdim=True))


def _by_layer(text: str) -> list[str]:
    # Names of options have their hyphens turned into underscores.
    return text.replace("_", "-").split("-")
