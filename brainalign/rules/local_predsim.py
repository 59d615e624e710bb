"""Local prediction and similarity matching together."""

from dataclasses import dataclass

from torch import nn

from brainalign.errors import NeedsError
from brainalign.rules.local_losses import LocalLosses, Mixture
from brainalign.tasks.task import Task


@dataclass(frozen=True)
class LocalPredsim(LocalLosses):
    r"""Local prediction and similarity matching (Nøkland & Eidnes 2019, "predsim"), on a stack of layers.

    .. math:: L_l = (1 - \beta)\, L_l^{\mathrm{pred}} + \beta\, L_l^{\mathrm{sim}}

    with the losses of `LocalPred` and `LocalSim`.

    Parameters
    ----------
    beta
        Weight of similarity matching.
    kernel
        Width of the convolution before similarities are taken, which is odd; 0 for none, as of `LocalSim`.
    """

    beta: float = 0.99
    kernel: int = 3

    name = "local_predsim"
    feedback = "the error of a linear head of the layer's own, and similarities beside those of the labels"
    locality = "pre- and postsynaptic activity, a head beside the layer, and comparisons over the batch"
    passes = 7.0

    from_zero = frozenset({"beta", "kernel"})

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack, the task names categories and the options can be."""
        super().check(network, task)
        if self.beta > 1:
            raise NeedsError(f"Rule {self.name!r} was given beta={self.beta:g}; a share is 1 at most.")

    @property
    def mixture(self) -> Mixture:
        """Both."""
        return Mixture(1 - self.beta, self.beta, self.kernel)
