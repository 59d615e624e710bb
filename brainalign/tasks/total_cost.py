"""The cost that training lowers: that of the outputs, and those that layers pay."""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import BrainalignError
from brainalign.names import unknown_name
from brainalign.tasks.task import Batch, Task


def total_cost(network: nn.Module, task: Task, batch: Batch) -> Float[Tensor, ""]:
    """Give the mean cost of a batch's samples, of the outputs and at layers, with the weights of its step.

    Raises
    ------
    UnknownNameError
        A cost at a layer that the network does not have.
    """
    layers = task.layer_costs(batch.step)
    with answers_of(network, list(layers)) as answers:
        outputs = task.rollout(network, batch)
    total = task.weight(batch.step) * task.cost(outputs, batch).mean()
    for layer, (cost, weight) in layers.items():
        total = total + weight * cost.cost(answers[layer], batch).mean()
    return total


@contextlib.contextmanager
def answers_of(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect what modules answer while the network runs."""
    modules = dict(network.named_modules())
    answers: dict[str, Tensor] = {}
    versions: dict[str, int] = {}
    with contextlib.ExitStack() as hooks:
        for name in names:
            if name not in modules or not name:
                raise unknown_name("layer", name, filter(None, modules))
            handle = modules[name].register_forward_hook(_keeping(name, answers, versions))
            hooks.callback(handle.remove)
        yield answers
    altered = [name for name, answer in answers.items() if answer._version != versions[name]]
    if altered:
        raise BrainalignError(
            f"What layer {altered[0]!r} answers is changed in place by the module after it; give the cost to "
            "that module, or build it with inplace=False."
        )
    missing = [name for name in names if name not in answers]
    if missing:
        raise BrainalignError(f"Layer {missing[0]!r} has a cost, but the network does not use it.")


def _keeping(name: str, answers: dict[str, Tensor], versions: dict[str, int]):
    def keep(_module: nn.Module, _inputs: object, answer: object) -> None:
        if not isinstance(answer, torch.Tensor):
            raise BrainalignError(f"Layer {name!r} answers with no single tensor, so it can have no cost.")
        answers[name], versions[name] = answer, answer._version

    return keep


def learned(network: nn.Module, task: Task) -> dict[str, nn.Parameter]:
    """Give what the cost has a gradient for: the network's parameters, and the task's own as ``task.NAME``."""
    own = dict(task.module.named_parameters(prefix="task")) if task.module is not None else {}
    parameters = dict(network.named_parameters()) | own
    return {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}


def gradient(network: nn.Module, task: Task, batch: Batch) -> dict[str, Tensor]:
    """Give the gradient of the total cost by the names of the parameters that it reaches."""
    parameters = learned(network, task)
    found = torch.autograd.grad(total_cost(network, task, batch), list(parameters.values()), allow_unused=True)
    return {name: each for name, each in zip(parameters, found, strict=True) if each is not None}
