"""How strongly a recurrent network's next rates depend on its present ones."""

import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.errors import NeedsError
from brainalign.networks.recurrent import LeakyNetwork, RecurrentNetwork


def sensitivity(
    network: RecurrentNetwork, x: Float[Tensor, "sample input"], state: Float[Tensor, "sample unit"]
) -> Float[Tensor, " sample"]:
    r"""Give the squared size of the Jacobian of what a leaky network's units are driven to, over the units.

    .. math::
        R = \frac{1}{N} \Bigl\lVert \frac{\partial f(u)}{\partial h} \Bigr\rVert_F^2
        = \frac{1}{N} \sum_{ij} f'(u_i)^2\, W_{ij}^2

    Where it is small, dynamics are smooth: part of the regularisation without which networks that make muscle
    activity do not resemble motor cortex (Sussillo et al. 2015, Nat Neurosci 18:1025). Can be differentiated.

    Raises
    ------
    NeedsError
        A network that is not one of leaky units.

    Examples
    --------
    >>> from brainalign.networks.rnn import RNN
    >>> network = RNN(3, 2, units=5, activation="linear")
    >>> found = sensitivity(network, torch.ones(1, 3), network.initial(1))
    >>> torch.allclose(found, network.recurrent.weight.square().sum() / 5)
    True
    """
    if not isinstance(network, LeakyNetwork):
        raise NeedsError(
            "The cost of sensitivity needs leaky units, such as those of rnn or ei_rnn; found a "
            f"{type(network).__name__}. Leave sensitivity at 0, or choose another network."
        )
    with torch.enable_grad():
        u = network.preactivation(x, state)
        if not u.requires_grad:
            u.requires_grad_()
        (slope,) = torch.autograd.grad(network.activation(u).sum(), u, create_graph=True)
    return slope.square() @ network.recurrent.weight.square().sum(1) / network.n_units
