"""What rules that are stated layer by layer need of a network and a task."""

from torch import nn

from brainalign.errors import NeedsError
from brainalign.networks.layered import LayeredNetwork
from brainalign.tasks.task import Task


def stack_of(rule: str, network: nn.Module, hidden: int = 0) -> LayeredNetwork:
    """Give the network as the stack that it is.

    Parameters
    ----------
    rule
        Name of the rule.
    network
        The network.
    hidden
        Hidden layers that the rule needs.

    Raises
    ------
    NeedsError
        Another network, or too few hidden layers.
    """
    if not isinstance(network, LayeredNetwork):
        raise NeedsError(
            f"Rule {rule!r} is stated layer by layer and needs a plain stack of them (a LayeredNetwork); "
            f"{type(network).__name__} is none. Choose mlp or convnet, or train this network by backprop."
        )
    if len(network.layers) <= hidden:
        raise NeedsError(f"Rule {rule!r} needs {hidden} hidden layers at least; this network has fewer.")
    return network


def needs_outputs_cost(rule: str, task: Task) -> None:
    """Raise `NeedsError` unless the task's cost is of the network's plain answer, and of nothing else."""
    if not task.plain:
        raise NeedsError(
            f"Rule {rule!r} runs the layers one by one; task {task.name!r} runs the network in a way of its "
            "own. Choose a task whose cost is of the outputs, or another rule."
        )
    if task.at_layers:
        raise NeedsError(
            f"Rule {rule!r} says itself what layers learn and pays no other costs; leave out that at "
            f"{next(iter(task.at_layers))!r}, or choose another rule."
        )


def needs_inputs_alone(rule: str, task: Task) -> None:
    """Raise `NeedsError` unless a rule that pays the task's cost no heed leaves nothing untrained by that."""
    needs_outputs_cost(rule, task)
    if task.module is not None:
        raise NeedsError(
            f"Rule {rule!r} pays the task's cost no heed, so what task {task.name!r} itself has to learn would "
            "stay untrained. Choose classification, whose labels it does not look at."
        )


def needs_categories(rule: str, task: Task) -> None:
    """Raise `NeedsError` unless the outputs are to name categories, so that a batch's targets are labels."""
    needs_outputs_cost(rule, task)
    if not task.names_categories:
        raise NeedsError(
            f"Rule {rule!r} teaches each layer by the images' categories; task {task.name!r} does not name "
            "them. Choose classification, or another rule."
        )
