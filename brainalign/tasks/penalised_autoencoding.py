"""Autoencoders whose code, the input of the network's last linear map, pays a penalty."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.tasks.autoencoding import Autoencoding, Outputs, PerSample
from brainalign.tasks.image_task import Labels, Pixels
from brainalign.tasks.task import Batch

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@contextmanager
def last_linear_input(network: nn.Module) -> Iterator[list[Tensor]]:
    """Keep the input of the linear map that a network runs last, as the last of a list.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 4))
    >>> with last_linear_input(network) as inputs:
    ...     _ = network(torch.zeros(5, 3))
    >>> tuple(inputs[-1].shape)
    (5, 2)
    """
    inputs: list[Tensor] = []
    with ExitStack() as hooks:
        for module in network.modules():
            if isinstance(module, LINEAR):
                handle = module.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
                hooks.callback(handle.remove)
        yield inputs


@dataclass(frozen=True)
class PenalisedAutoencoding(Autoencoding):
    """Give back the image, by a code that pays a penalty.

    `rollout` gives the network's outputs and the code's penalty as one more column; the network's read-out
    still has `n_outputs` units. So a learning rule must take the cost of `rollout`, differentiated as a whole,
    not that of what the network answers by itself.
    """

    penalty_weight: float = 0.1

    def rollout(self, network: nn.Module, batch: Batch) -> Tensor:
        """Let the network answer, and append the penalty of its code.

        Raises
        ------
        NeedsError
            The network has no linear map whose input could be the code.
        """
        with last_linear_input(network) as inputs:
            outputs = network(batch.inputs)
        penalty = self.penalty(self._code(network, inputs), batch.inputs)
        return torch.cat([outputs, penalty[:, None]], dim=1)

    def cost(self, outputs: Outputs, batch: Batch) -> PerSample:
        """Give each image's squared error and its weighted penalty.

        Raises
        ------
        NeedsError
            Outputs that did not come from `rollout`.
        """
        if outputs.shape[1] != self.n_outputs + 1:
            raise NeedsError(
                f"The cost of {self.name} needs the penalty of the network's code, which the task's rollout "
                f"appends: expected {self.n_outputs} + 1 outputs, found {outputs.shape[1]}. Choose a learning "
                "rule that differentiates the whole network, or another variant."
            )
        return super().cost(outputs[:, :-1], batch) + self.penalty_weight * outputs[:, -1]

    @abstractmethod
    def penalty(self, code: Float[Tensor, "sample ..."], inputs: Float[Tensor, "sample ..."]) -> PerSample:
        """Give the penalty of each image's code."""

    def _code(self, network: nn.Module, inputs: list[Tensor]) -> Tensor:
        if not inputs:
            raise NeedsError(
                f"{self.name} takes the input of the network's last linear map as its code, but "
                f"{type(network).__name__} runs no nn.Linear or nn.Conv2d."
            )
        return inputs[-1].flatten(1)


@dataclass(frozen=True)
class SparseAutoencoding(PenalisedAutoencoding):
    r"""Give back the image, by a code of which few units are active.

    .. math:: c_i = \frac{1}{2P} \sum_p (y_{ip} - x_{ip})^2 + \frac{\lambda}{K} \sum_k |h_{ik}|

    with :math:`h` the :math:`K` inputs of the network's last linear map.

    Parameters
    ----------
    penalty_weight
        The weight :math:`\lambda`.
    """

    variant: ClassVar[str] = "sparse"
    source: ClassVar[str] = "Olshausen & Field 1996; Ng 2011"

    def penalty(self, code: Float[Tensor, "sample ..."], inputs: Float[Tensor, "sample ..."]) -> PerSample:
        """Give the mean absolute activity of each image's code."""
        return code.abs().mean(1)


@dataclass(frozen=True)
class ProbedBatch(Batch):
    """Images, and the seed of the probes by which the Jacobian's norm is estimated."""

    probe_seed: int = 0


@dataclass(frozen=True)
class ContractiveAutoencoding(PenalisedAutoencoding):
    r"""Give back the image, by a code that changes little with the image (Rifai et al. 2011, eq. 4).

    .. math:: c_i = \frac{1}{2P} \sum_p (y_{ip} - x_{ip})^2 + \frac{\lambda}{K} \|J_i\|_F^2,
        \qquad J_i = \partial h_i / \partial x_i

    with :math:`h` the :math:`K` inputs of the network's last linear map, and
    :math:`\|J\|_F^2 = \mathrm{E}_v \|J^\top v\|^2` estimated by `probes` random vectors :math:`v` of ±1
    (Hutchinson 1990). An image's code must depend on that image alone, so a network with batch normalisation
    is penalised for its neighbours' part, too.

    Parameters
    ----------
    penalty_weight
        The weight :math:`\lambda`.
    probes
        Random vectors for each image; each costs one backward pass.
    """

    variant: ClassVar[str] = "contractive"
    source: ClassVar[str] = "Rifai et al. 2011"

    probes: int = 1

    @property
    def differentiates_network(self) -> bool:
        """Say that the penalty is made of the network's Jacobian."""
        return True

    def make_batch(self, pixels: Pixels, labels: Labels, generator: torch.Generator, training: bool) -> Batch:
        """Show the images; the images, flattened, are to be answered."""
        inputs = self.preprocessing.standardised(pixels)
        seed = int(torch.randint(2**62, (), generator=generator))
        return ProbedBatch(inputs, inputs.flatten(1), labels, probe_seed=seed)

    def rollout(self, network: nn.Module, batch: Batch) -> Tensor:
        """Let the network answer, and append the estimated norm of the Jacobian of its code."""
        wanted = torch.is_grad_enabled()
        # The Jacobian needs a graph even where the caller wants none.
        with torch.inference_mode(False), torch.enable_grad():
            inputs = batch.inputs.clone().requires_grad_()
            with last_linear_input(network) as found:
                outputs = network(inputs)
            code = self._code(network, found)
            generator = torch.Generator().manual_seed(getattr(batch, "probe_seed", 0))
            penalty = squared_jacobian(code, inputs, self.probes, generator, wanted) / code.shape[1]
            answer = torch.cat([outputs, penalty[:, None]], dim=1)
        return answer if wanted else answer.detach()

    def penalty(self, code: Float[Tensor, "sample ..."], inputs: Float[Tensor, "sample ..."]) -> PerSample:
        """Give the estimate with the probes of seed 0; the inputs must be part of the code's graph."""
        generator = torch.Generator().manual_seed(0)
        return squared_jacobian(code, inputs, self.probes, generator) / code.shape[1]


def squared_jacobian(
    code: Float[Tensor, "sample unit"],
    inputs: Float[Tensor, "sample ..."],
    probes: int,
    generator: torch.Generator,
    differentiable: bool = True,
) -> PerSample:
    r"""Estimate :math:`\|\partial h / \partial x\|_F^2` of each sample by :math:`\|J^\top v\|^2`, v of ±1."""
    total = torch.zeros(len(code), dtype=code.dtype, device=code.device)
    for _ in range(probes):
        signs = torch.randint(2, code.shape, generator=generator).to(code) * 2 - 1
        (gradient,) = torch.autograd.grad(
            (code * signs).sum(), inputs, create_graph=differentiable, retain_graph=True
        )
        total = total + gradient.flatten(1).square().sum(1)
    return total / probes
