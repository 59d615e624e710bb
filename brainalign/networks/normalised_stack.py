"""Networks that are a stack of layers, each of which normalises its input and pools its answer."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import nn

from brainalign.networks.layered import Layer


@dataclass(frozen=True)
class NormalisedLayer(Layer):
    r"""One layer of such a stack: :math:`h = f(a)`, :math:`a = W n(x)`.

    The activation need not be pointwise: it may compare units and pool places. All methods take the layer's
    normalised input, n(x); `derivative` and `transpose`, which stop short of n and of pooling, are not enough
    to send errors down, so rules that do so are given no such network.

    Parameters
    ----------
    name, linear
        As of a `Layer`.
    activation
        f, pooling included.
    normalisation
        n, padding included. One that counts statistics is to be applied once to a batch.
    """

    normalisation: nn.Module


class NormalisedStack(nn.Module):
    """A network whose answer is that of normalised layers, each given the answer of the one before."""

    @property
    @abstractmethod
    def layers(self) -> tuple[Layer, ...]:
        """The normalised layers, then the read-out."""
