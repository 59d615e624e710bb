"""What rules without gradients share: costs of a network with noise in it, many at once."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase

from brainalign.errors import NeedsError
from brainalign.rules.linear_maps import Call, calls_of_maps
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
    statistics = {f"network.{name}": each.clone() for name, each in _statistics(network).items()}
    with torch.enable_grad(), same_draws():
        cost = functional_call(_TotalCost(network, task), fixed | statistics, (batch,))
        found = torch.autograd.grad(cost, list(own.values()), allow_unused=True)
    return {OF_TASK + name: each for name, each in zip(own, found, strict=True) if each is not None}


def check_parameters(network: nn.Module) -> None:
    """Raise unless the network has parameters to perturb."""
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise NeedsError("This network has no parameter that may change, so there is nothing to perturb.")


def perturbed_weights_gradient(
    network: nn.Module,
    task: Task,
    batch: Batch,
    generator: torch.Generator,
    *,
    samples: int,
    sigma: float,
    antithetic: bool,
    slope: Slope,
    loop: bool = False,
) -> Update:
    r"""Estimate the gradient from costs at parameters with Gaussian noise, :math:`\theta \pm \sigma \xi_k`.

    One pass without noise comes first: it moves the running statistics of normalisation, as training does,
    which the perturbed passes leave alone.

    Parameters
    ----------
    network, task, batch, generator
        As a rule has them.
    samples
        Number of perturbations.
    sigma
        Standard deviation of the noise.
    antithetic
        Whether each is compared with its opposite; else with the network as it is.
    slope
        From the costs with noise, and those they are compared with, to the factors of :math:`\xi_k`, whose
        mean is the estimate.
    loop
        One by one rather than vectorised.
    """
    parameters = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    clean, n_bytes = _clean_cost(network, task, batch)
    n_bytes = 2 * n_bytes + 3 * sum(each.nbytes for each in parameters.values())
    draws = _Draws(parameters, chunks(samples, n_bytes), generator)

    def compared(noise: dict[str, Tensor], size: int) -> Tensor:
        plus = _costs_at(network, task, batch, _moved(parameters, noise, sigma), loop)
        if not antithetic:
            return torch.stack([plus, clean.expand(size)])
        return torch.stack([plus, _costs_at(network, task, batch, _moved(parameters, noise, -sigma), loop)])

    pairs = [compared(noise, size) for noise, size in zip(draws, draws.sizes, strict=True)]
    factors = slope(*torch.cat(pairs, dim=1))
    total = {name: torch.zeros_like(each) for name, each in parameters.items()}
    for noise, part in zip(draws, factors.split(draws.sizes), strict=True):
        for name, each in noise.items():
            total[name] += torch.tensordot(part.to(each.dtype), each, 1) / samples
    return total


class _Draws:
    """Noise for all parameters, chunk by chunk, the same however often it is gone through.

    A single chunk is kept; several, which may not fit in memory together, are drawn again.
    """

    def __init__(self, parameters: Mapping[str, Tensor], sizes: list[int], generator: torch.Generator):
        self.sizes = sizes
        self._parameters, self._generator = parameters, generator
        self._before = generator.get_state()
        self._only: dict[str, Tensor] = {}

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        if self._only:
            yield self._only
            return
        self._generator.set_state(self._before)
        for size in self.sizes:
            noise = self._drawn(size)
            if len(self.sizes) == 1:
                self._only = noise
            yield noise

    def _drawn(self, size: int) -> dict[str, Tensor]:
        return {
            name: torch.randn(size, *each.shape, generator=self._generator, dtype=each.dtype).to(each.device)
            for name, each in self._parameters.items()
        }


def _moved(parameters: Mapping[str, Tensor], noise: Mapping[str, Tensor], by: float) -> dict[str, Tensor]:
    return {name: torch.add(parameters[name], each, alpha=by) for name, each in noise.items()}


def _clean_cost(network: nn.Module, task: Task, batch: Batch) -> tuple[Tensor, int]:
    """Give the cost without noise, and the bytes of what the network's linear maps answer."""
    n_bytes = 0

    def note(original: Call, *args, **more) -> Tensor:
        nonlocal n_bytes
        answer = original(*args, **more)
        n_bytes += answer.nbytes
        return answer

    with calls_of_maps(note), same_draws():
        return total_cost(network, task, batch), n_bytes


def _costs_at(
    network: nn.Module, task: Task, batch: Batch, points: Mapping[str, Tensor], loop: bool = False
) -> Float[Tensor, " perturbation"]:
    """Give the total cost at each of several settings of the network's parameters."""
    count, whole = len(next(iter(points.values()))), _TotalCost(network, task)
    # Each perturbation has running statistics of its own to move, which are then forgotten.
    statistics = {name: torch.stack([each] * count) for name, each in _statistics(network).items()}
    given = {f"network.{name}": each for name, each in (statistics | dict(points)).items()}

    def cost(*values: Tensor) -> tuple[Tensor]:
        return (functional_call(whole, dict(zip(given, values, strict=True)), (batch,)),)

    return vectorised(cost, list(given.values()), loop)[0]


def _statistics(network: nn.Module) -> dict[str, Tensor]:
    """Give the running statistics that a pass in training changes."""
    return {
        f"{prefix}.{name}" if prefix else name: buffer
        for prefix, module in network.named_modules()
        if isinstance(module, _NormBase) and module.training
        for name, buffer in module.named_buffers(recurse=False)
    }


class _TotalCost(nn.Module):
    """The total cost as a module, whose parameters can be exchanged."""

    def __init__(self, network: nn.Module, task: Task):
        super().__init__()
        self.network, self.of = network, task

    def forward(self, batch: Batch) -> Tensor:
        return total_cost(self.network, self.of, batch)
