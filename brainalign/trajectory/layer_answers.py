"""What layers answer to inputs that are made already."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import ResponsesError
from brainalign.probing.hooks import OutputListener, evaluation_mode
from brainalign.probing.layers import select_layers


@torch.no_grad()
def layer_answers(
    network: nn.Module, inputs: Float[Tensor, "sample ..."], layers: str | Sequence[str] | None = None
) -> dict[str, Tensor]:
    """Give each layer's answer to a batch, in evaluation mode; the last one of a layer that is called again.

    Parameters
    ----------
    network
        Any module.
    inputs
        As the network takes them, standardised.
    layers
        Globs over names, as `brainalign.probing.layers.select_layers` reads them.

    Raises
    ------
    UnknownNameError
        A glob that no module's name matches.
    ResponsesError
        A layer that the network never calls.
    """
    names = select_layers(network, layers)
    answers: dict[str, Tensor] = {}

    def receive(name: str, _number: int, tensor: Tensor) -> None:
        answers[name] = tensor.clone()

    like = next(network.parameters(), inputs)
    listener = OutputListener(network, names, receive)
    with evaluation_mode(network), listener.listening():
        listener.begin_pass()
        network(inputs.to(like))
    silent = [name for name in names if name not in answers]
    if silent:
        raise ResponsesError(f"The network never calls layer {silent[0]!r}; leave it out of the layers.")
    return answers
