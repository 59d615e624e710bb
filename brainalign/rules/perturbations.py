"""What rules without gradients share: costs of a network with noise in it, many at once."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase

from brainalign.errors import NeedsError
from brainalign.rules.rule import OF_TASK, Update
from brainalign.tasks.task import Batch, Task
from brainalign.tasks.total_cost import answers_of, total_cost

MEMORY = 2**24
"""Bytes that perturbations which run at once may take: what stays in a processor's cache is worth vectorising.
Fixed, so that sums do not depend on the machine."""

Slope = Callable[[Tensor, Tensor], Tensor]


def sample_costs(network: nn.Module, task: Task, batch: Batch) -> Float[Tensor, " sample"]:
    """Give each sample's cost, of the outputs and at layers, with the weights of its step.

    Their mean is `total_cost`.
    """
    layers = task.layer_costs(batch.step)
    with answers_of(network, list(layers)) as answers:
        outputs = task.rollout(network, batch)
    costs = task.weight(batch.step) * task.cost(outputs, batch)
    for layer, (cost, weight) in layers.items():
        costs = costs + weight * cost.cost(answers[layer], batch)
    return costs


@contextlib.contextmanager
def same_draws() -> Iterator[None]:
    """Let dropout leave out the same units in every block that starts from the same random state."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        yield


def vectorised(
    function: Callable[..., tuple[Tensor, ...]], stacked: Sequence[Tensor], loop: bool = False
) -> tuple[Tensor, ...]:
    """Run a function on each item of stacked tensors, all at once by ``torch.vmap``.

    What cannot be vectorised (derivatives within a task's rollout, too little memory) runs one by one, with
    the same answers.

    Parameters
    ----------
    function
        From an item of each tensor to a tuple of tensors.
    stacked
        Tensors with the items in their first dimension.
    loop
        One by one in any case.

    Examples
    --------
    >>> vectorised(lambda a, b: (a + b,), [torch.tensor([1, 2]), torch.tensor([3, 5])])
    (tensor([4, 7]),)
    """
    if not loop:
        with contextlib.suppress(RuntimeError), same_draws():
            return torch.vmap(function, randomness="same")(*stacked)
    answers = []
    for items in zip(*stacked, strict=True):
        with same_draws():
            answers.append(function(*items))
    return tuple(torch.stack(each) for each in zip(*answers, strict=True))


def chunks(count: int, n_bytes: int) -> list[int]:
    """Split a number of perturbations, each of so many bytes, into numbers that fit in memory together.

    Examples
    --------
    >>> chunks(5, 2**23)
    [2, 2, 1]
    """
    most = max(1, MEMORY // max(1, n_bytes))
    return [min(most, count - start) for start in range(0, count, most)]


def task_gradient(network: nn.Module, task: Task, batch: Batch) -> Update:
    """Give the true gradient of what the task itself has to learn, as ``task.NAME``."""
    own = dict(task.module.named_parameters()) if task.module is not None else {}
    if not own:
        return {}
    fixed = {f"network.{name}": each.detach() for name, each in network.named_parameters()}
    statistics = {f"network.{name}": each.clone() for name, each in running_statistics(network).items()}
    with torch.enable_grad(), same_draws():
        cost = functional_call(TotalCost(network, task), fixed | statistics, (batch,))
        found = torch.autograd.grad(cost, list(own.values()), allow_unused=True)
    return {OF_TASK + name: each for name, each in zip(own, found, strict=True) if each is not None}


def check_parameters(network: nn.Module) -> None:
    """Raise `NeedsError` unless the network has parameters to perturb."""
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise NeedsError("This network has no parameter that may change, so there is nothing to perturb.")


def running_statistics(network: nn.Module) -> dict[str, Tensor]:
    """Give the running statistics that a pass in training changes."""
    return {
        f"{prefix}.{name}" if prefix else name: buffer
        for prefix, module in network.named_modules()
        if isinstance(module, _NormBase) and module.training
        for name, buffer in module.named_buffers(recurse=False)
    }


class TotalCost(nn.Module):
    """The total cost as a module, whose parameters can be exchanged."""

    def __init__(self, network: nn.Module, task: Task):
        super().__init__()
        self.network, self.of = network, task

    def forward(self, batch: Batch) -> Tensor:
        """Give the total cost of a batch."""
        return total_cost(self.network, self.of, batch)
