"""SoftHebb: soft competition within a layer, in which losers unlearn."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from brainalign.networks.layered import Layer
from brainalign.rules.hebbian_rule import HebbianRule, by_place, correlation, each_unit
from brainalign.rules.rule import State, Update
from brainalign.tasks.task import Batch

PRECISION = 1e-30


@dataclass(frozen=True)
class SoftHebb(HebbianRule):
    r"""SoftHebb (Moraitis et al. 2022; Journé et al. 2023), deep and convolutional, on a plain stack of layers.

    .. math::
        \Delta w_i = \eta\, \big| \lVert w_i \rVert - 1 \big|^{q} \frac{D_i}{\max |D|}, \qquad
        D_i = \langle \tilde y_i (x - u_i w_i) \rangle, \qquad
        u = W x + b, \quad y = \operatorname{softmax}(u / \tau)

    :math:`\tilde y` is y for the unit that wins at a place and −y for the others: Hebbian and anti-Hebbian.
    Weights of units that are active come to a norm of 1, where they rest. The softmax only says who learns:
    layers above are given the network's own answers. Journé et al. have batch normalisation, activations
    and pooling of their own, which are the network's part; rates and 1/τ that differ by layer; and weights
    that start at a norm of 25, so that the competition is hard from the start. From smaller weights it
    hardens as they turn towards the inputs. On inputs that are not centred, as rectified units give them,
    losers turn against the mean input and fall silent at Journé et al.'s rates; so the default is lower.

    Parameters
    ----------
    tau
        τ, the temperature.
    anti_hebbian
        Whether units that do not win unlearn; deep stacks need it.
    norm_power
        q, by which units slow down that have come to a norm of 1; 0 for one rate.
    """

    tau: float = 1.0
    anti_hebbian: bool = True
    norm_power: float = 0.5

    name = "softhebb"
    feedback = "lateral inhibition within the layer: a softmax"
    passes = 3.0
    locality = "pre- and postsynaptic activity, and the layer's softmax"
    source = "Moraitis et al. 2022 (arXiv:2107.05747); Journé et al. 2023, ICLR (arXiv:2209.11883)"
    optimizer = "sgd:lr=0.01"
    from_zero = frozenset({"norm_power"})

    def layer_update(self, layer: Layer, x: Tensor, y: Tensor, batch: Batch, state: State) -> Update:
        """Give −D / max|D|, each unit's times how far its norm is from 1."""
        weight, driven = layer.linear.weight, layer.preactivation(x)
        competing = self.competition(driven)
        change = correlation(layer, competing, x) - each_unit(by_place(competing * driven).mean(0), weight)
        away = (weight.flatten(1).norm(dim=1) - 1).abs() ** self.norm_power
        change = each_unit(away, change) / change.abs().max().clamp(min=PRECISION)
        return {f"{layer.name}.weight": -change}

    def competition(self, driven: Float[Tensor, "sample unit ..."]) -> Float[Tensor, "sample unit ..."]:
        """Give ỹ.

        Examples
        --------
        >>> import torch
        >>> SoftHebb().competition(torch.tensor([[0.0, 0.0, 9.0]])).sign()
        tensor([[-1., -1.,  1.]])
        """
        y = (driven / self.tau).softmax(1)
        if not self.anti_hebbian:
            return y
        return (-y).scatter(1, y.argmax(1, keepdim=True), y.amax(1, keepdim=True))
