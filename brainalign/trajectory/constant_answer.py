"""What a task costs if every input gets the same answer."""

import torch

from brainalign.tasks.task import Batch, Task


def cost_of_constant(task: Task, batch: Batch) -> float:
    r"""Give the lowest mean cost of one answer to all inputs, :math:`\min_y \frac{1}{n} \sum_i C(y, t_i)`.

    By L-BFGS; exact where the cost is convex in the answer. Infinite where the cost is of more than the answer.

    Examples
    --------
    >>> from brainalign.tasks import find_task
    >>> task = find_task("classification:digits")
    >>> batch = next(task.held_out(200))
    >>> round(cost_of_constant(task, batch), 2)  # the entropy of ten categories
    2.3
    """
    if not task.plain:
        return float("inf")
    answer = torch.zeros(1, task.n_outputs, requires_grad=True)
    optimizer = torch.optim.LBFGS([answer], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        cost = task.cost(answer.expand(len(batch), -1), batch).mean()
        cost.backward()
        return cost

    optimizer.step(closure)
    return float(closure().detach())
