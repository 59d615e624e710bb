"""Move a cursor by a brain-computer interface: a fixed decoder of the units' rates, which can be exchanged."""

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from brainalign.errors import BrainalignError, NeedsError
from brainalign.networks.recurrent import RecurrentNetwork
from brainalign.tasks.center_out import CenterOut

Weight = Float[Tensor, "output unit"]


@dataclass(frozen=True)
class BCICursor(CenterOut):
    """Bring a cursor to a target, its velocity decoded from the units' rates.

    `CenterOut` with the body ``velocity``. The decoder is the network's read-out, which `with_decoder` sets and
    keeps fixed, so that any learning rule can learn under it.

    Examples
    --------
    >>> BCICursor().n_outputs
    2
    """

    key: ClassVar[str] = "bci_cursor"
    source: ClassVar[str] = "Sadtler et al. 2014, Nature 512:423; Portes, Schmid & Murray 2022, NeurIPS"

    body: str = "velocity"


class FixedDecoder(nn.Linear):
    r"""A read-out that does not learn, with a model of itself through which errors come back.

    .. math:: y = D h + c, \qquad \delta_h = M^\top \delta_y

    M is what learning takes the decoder to be, its internal model of the interface; D by default. Rules that
    learn by errors then learn by M; rules that learn by outcomes never see it.

    Parameters
    ----------
    weight, bias
        D and c.
    credit
        M.
    """

    credit: Tensor | None

    def __init__(self, weight: Weight, bias: Float[Tensor, " output"], credit: Weight | None = None):
        n_outputs, n_units = weight.shape
        super().__init__(n_units, n_outputs, device=weight.device, dtype=weight.dtype)
        self.weight.data.copy_(weight)
        self.bias.data.copy_(bias)
        self.requires_grad_(False)
        self.register_buffer("credit", None if credit is None else credit.detach().to(weight).clone())

    def forward(self, input: Float[Tensor, "sample unit"]) -> Float[Tensor, "sample output"]:
        """Decode the units' rates."""
        decoded = super().forward(input)
        if self.credit is None:
            return decoded
        believed = F.linear(input, self.credit)
        return believed + (decoded - believed).detach()


def with_decoder(
    network: nn.Module, weight: Weight, bias: Tensor | None = None, credit: Tensor | None = None
) -> RecurrentNetwork:
    """Copy a network, its read-out replaced by a fixed decoder.

    Parameters
    ----------
    network
        A recurrent network whose outputs are a linear read-out of the rates, ``head``.
    weight, bias
        The decoder, shapes (output, unit) and (output,); no bias by default.
    credit
        What learning by errors takes the decoder to be, shape (output, unit); the decoder itself by default.

    Raises
    ------
    NeedsError
        A network without such a read-out.
    BrainalignError
        A decoder of another shape than the read-out, with values that are not finite, or that the network's own
        constraints on its weights would change.

    Examples
    --------
    >>> from brainalign.networks.rnn import RNN
    >>> network = with_decoder(RNN(3, 2, units=4), torch.eye(2, 4))
    >>> network.readout(torch.tensor([[1.0, 2.0, 3.0, 4.0]])).tolist()
    [[1.0, 2.0]]
    """
    head = getattr(network, "head", None)
    if not isinstance(network, RecurrentNetwork) or not isinstance(head, nn.Linear):
        raise NeedsError(
            f"A decoder takes the place of a recurrent network's linear read-out 'head'; found a "
            f"{type(network).__name__} without one. Give a network such as rnn or gru."
        )
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    wanted = {"weight": head.weight.shape, "bias": head.weight.shape[:1], "credit": head.weight.shape}
    for name, each in {"weight": weight, "bias": bias, "credit": credit}.items():
        if each is None:
            continue
        if each.shape != wanted[name]:
            raise BrainalignError(
                f"The decoder's {name} has the shape {tuple(each.shape)}; this network's {network.n_units} "
                f"units and {network.n_outputs} outputs need {tuple(wanted[name])}."
            )
        if not torch.isfinite(each).all():
            raise BrainalignError(f"The decoder's {name} holds NaN or infinite values; fit it to finite rates.")
    copied = copy.deepcopy(network)
    copied.head = FixedDecoder(weight.to(head.weight), bias.to(head.weight), credit)
    with torch.no_grad():
        copied.constrain()
    if not torch.equal(copied.head.weight, weight.to(head.weight)):
        raise BrainalignError(
            f"A {type(network).__name__} would change this decoder, as it constrains its read-out; give a "
            "decoder that it allows, or a network without constraints, such as rnn."
        )
    return copied
