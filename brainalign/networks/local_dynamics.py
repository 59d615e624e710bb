"""How a recurrent unit's own state moves when the other units are left out: what its synapses can know."""

from abc import abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from brainalign.networks.layered import Layer
from brainalign.networks.recurrent import LeakyNetwork, RecurrentNetwork


@dataclass(frozen=True)
class LocalDynamics:
    r"""Derivatives of each unit's own d hidden variables s in one time step, all other units held fixed.

    With them the eligibility of a synapse, which is how far it has moved its unit's hidden variables, follows
    from what the unit itself knows (Bellec et al. 2020, Nat Commun 11:3625, eq. 14):

    .. math::
        \epsilon_t = \frac{\partial s_t}{\partial s_{t-1}} \epsilon_{t-1}
        + \frac{\partial s_t}{\partial u_t} r_{pre}

    where :math:`u_t` is the unit's summed input and :math:`r_{pre}` what the synapse carries.

    Parameters
    ----------
    presynaptic
        What the recurrent weights carry into the step.
    decay
        :math:`\partial s_t / \partial s_{t-1}`; what a unit does to itself through its recurrent weight or its
        reset is not in it.
    drive
        :math:`\partial s_t / \partial u_t`.
    rate
        :math:`\partial r_t / \partial s_t`, of the activity r that is recorded and read out.
    """

    presynaptic: Float[Tensor, "sample unit"]
    decay: Float[Tensor, "sample unit d d"]
    drive: Float[Tensor, "sample unit d"]
    rate: Float[Tensor, "sample unit d"]


class LocalNetwork(RecurrentNetwork):
    """A recurrent network of three linear maps that knows its units' own dynamics."""

    input: nn.Linear
    recurrent: nn.Linear
    head: nn.Linear

    @abstractmethod
    def local_dynamics(
        self, x: Float[Tensor, "sample input"], state: Float[Tensor, "sample state"]
    ) -> LocalDynamics:
        """Give the local dynamics of the step from a state, under inputs."""


Local = LeakyNetwork | LocalNetwork
"""Networks whose local dynamics are known."""


def local_dynamics(
    network: Local, x: Float[Tensor, "sample input"], state: Float[Tensor, "sample state"]
) -> LocalDynamics:
    r"""Give the local dynamics of the step from a state, under inputs.

    Leaky rate units have one hidden variable, h: it decays by :math:`1 - \alpha` and is driven by
    :math:`\alpha f'(u)`.

    Examples
    --------
    >>> from torch import zeros
    >>> from brainalign.networks.rnn import RNN
    >>> local = local_dynamics(RNN(3, 2, units=10, alpha=0.2), zeros(1, 3), zeros(1, 10))
    >>> [round(float(each[0, 0].detach()), 3) for each in (local.decay, local.drive, local.rate)]
    [0.8, 0.2, 1.0]
    """
    if not isinstance(network, LeakyNetwork):
        return network.local_dynamics(x, state)
    of_unit = Layer("recurrent", network.recurrent, network.activation)
    drive = network.alpha * of_unit.derivative(network.preactivation(x, state))
    one = state.new_ones(()).expand(*state.shape, 1)
    return LocalDynamics(state, (1 - network.alpha) * one[..., None], drive[..., None], one)
