"""How a rule's update lies to backprop's."""

import copy
import math

import torch
from torch import Tensor, nn

from brainalign.networks.untrained import seeded
from brainalign.rules import LearningRule, State
from brainalign.tasks.task import Batch, Task
from brainalign.tasks.total_cost import gradient

NAN = float("nan")


def angle(a: Tensor, b: Tensor) -> float:
    """Angle of two arrays as vectors, in degrees; NaN where one has no length.

    Examples
    --------
    >>> round(angle(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])), 4)
    45.0
    """
    a, b = a.detach().double().flatten(), b.detach().double().flatten()
    lengths = float(a.norm()), float(b.norm())
    if min(lengths) == 0:
        return NAN
    a, b = a / lengths[0], b / lengths[1]
    # Stable near 0 and 180 degrees, where the arc cosine is not.
    return math.degrees(2 * math.atan2(float((a - b).norm()), float((a + b).norm())))


def update_of(
    rule: LearningRule, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
) -> dict[str, Tensor]:
    """Give what a rule would do with a batch: its updates summed, none applied, and nothing changed."""
    copied = copy.deepcopy(network)
    kept = {name: tensor.clone() for name, tensor in state.items()}
    same = torch.Generator()
    same.set_state(generator.get_state())
    total: dict[str, Tensor] = {}
    for update in rule.updates(copied, task, batch, kept, same):
        for name, each in update.items():
            total[name] = total[name] + each if name in total else each
    return total


def update_table(
    rule: LearningRule, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
) -> dict[str, float]:
    """Give angles to backprop's update and norms, of all weights together and of each module's.

    Columns ``angle`` and ``angle.MODULE`` (degrees; NaN for a rule or a module without a gradient to be held
    against), ``norm.MODULE`` of the weights, ``update_norm.MODULE`` of the update before the optimiser.
    """
    # The same seed for both: networks with dropout must leave out the same units.
    with seeded(0):
        update = update_of(rule, network, task, batch, state, generator)
    weights = {name: p for name, p in network.named_parameters() if p.ndim > 1}
    true: dict[str, Tensor] = {}
    if rule.true_gradient:
        with seeded(0):
            true = gradient(copy.deepcopy(network), task, batch)
    both = [name for name in weights if name in update and name in true]
    row = {"angle": NAN}
    if both:
        row["angle"] = angle(*(torch.cat([d[name].flatten() for name in both]) for d in (update, true)))
    for name, weight in weights.items():
        module = name.removesuffix(".weight")
        row[f"angle.{module}"] = angle(update[name], true[name]) if name in both else NAN
        row[f"norm.{module}"] = float(weight.detach().norm())
        row[f"update_norm.{module}"] = float(update[name].norm()) if name in update else 0.0
    return row
