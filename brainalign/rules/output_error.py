"""The error of a network's outputs, for rules that send it back by themselves."""

import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.rules.rule import OF_TASK, Update
from brainalign.tasks.task import Batch, Task


def output_error(
    task: Task, batch: Batch, outputs: Float[Tensor, "sample output"]
) -> tuple[Float[Tensor, "sample output"], Update]:
    """Give each sample's gradient of its cost at the outputs, and the mean cost's at what the task learns."""
    own = dict(task.module.named_parameters(prefix=OF_TASK[:-1])) if task.module is not None else {}
    own = {name: parameter for name, parameter in own.items() if parameter.requires_grad}
    with torch.enable_grad():
        free = outputs.detach().requires_grad_()
        cost = task.weight(batch.step) * task.cost(free, batch).mean()
        error, *of_task = torch.autograd.grad(cost, [free, *own.values()], allow_unused=True)
    found = zip(own, of_task, strict=True)
    return error * len(batch), {name: each for name, each in found if each is not None}
