"""Direct feedback alignment: the error of the outputs goes to each layer through fixed random weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import psutil
import torch
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.rules.linear_maps import Call, LinearMap, calls_of_maps, linear_maps
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.tasks.task import Batch, Task
from brainalign.tasks.total_cost import answers_of, learned

FEEDBACK = "feedback."


@dataclass(frozen=True)
class DirectFeedbackAlignment(LearningRule):
    r"""Direct feedback alignment (Nøkland 2016), on any network of linear and convolutional maps.

    .. math::
        \Delta W_l = -\eta\, \delta_l h_{l-1}^\top, \qquad \delta_l = (B_l\, e) \circ f'(a_l), \qquad
        e = \partial C / \partial a_L

    The error B e arrives where a layer's answer enters the next linear map, and goes from there through what
    lies between (pooling, normalisation, the activation) to the linear map before, and no further; paths that
    skip layers carry no error past that place. Maps inside attention, whose input is not laid out sample by
    sample, are among what lies between. e is summed over the places of a
    read-out that has several. B is
    Gaussian with variance scale² / (units + outputs).

    Parameters
    ----------
    scale
        Factor of the standard deviation of B.
    """

    scale: float = 1.0

    name = "direct_feedback_alignment"
    family = "error feedback"
    feedback = "the outputs' error through fixed random weights, to each layer at once"
    locality = "pre- and postsynaptic activity, and a projection of the outputs' error"
    phases = 1
    passes = 2.0
    source = "Nøkland 2016, NeurIPS"

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the maps are of known kinds, the cost is of the outputs, and B fits in memory."""
        if not task.plain:
            raise NeedsError(
                f"Task {task.name!r} makes costs within the network, which {self.name} cannot send directly; "
                "choose a task whose cost is of the outputs, or another rule."
            )
        maps = linear_maps(network, task)
        n_outputs = _n_outputs(maps)
        needed = sum(prod(each.input_shape) for each in maps if _is_sent(each)) * n_outputs * 4
        if needed > psutil.virtual_memory().available / 2:
            raise NeedsError(
                f"The feedback weights of direct feedback alignment, {n_outputs} for each unit of the network, "
                f"take {needed / 1e9:.0f} GB, more than half of the memory at hand. Choose smaller images, a "
                "smaller network or a task with fewer outputs."
            )

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw the feedback weights, (outputs, units) for each map but the first."""
        maps = linear_maps(network, task)
        parameters = dict(network.named_parameters())
        n_outputs, state = _n_outputs(maps), {}
        for each in maps:
            if _is_sent(each):
                weight = parameters[each.name]
                n_units = prod(each.input_shape)
                drawn = torch.randn(n_outputs, n_units, generator=generator, dtype=weight.dtype)
                drawn *= self.scale * (n_units + n_outputs) ** -0.5
                state[FEEDBACK + each.name] = drawn.to(weight.device)
        return state

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give each map's update from the error that is sent to it."""
        parameters = learned(network, task)
        names = {id(parameter): name for name, parameter in parameters.items()}
        entering: list[tuple[str, Tensor]] = []
        last, last_weight = [torch.empty(0)], [torch.empty(0)]

        def call(original: Call, x: Tensor, weight: Tensor, *rest, **more) -> Tensor:
            name = names.get(id(weight), "")
            if FEEDBACK + name in state:
                entering.append((name, x))
                x = x.detach()
            answer = original(x, weight, *rest, **more)
            if name:
                last[0], last_weight[0] = answer, weight
            return answer

        costs = task.layer_costs(batch.step)
        with calls_of_maps(call), answers_of(network, list(costs)) as answers:
            outputs = task.rollout(network, batch)
        cost = task.weight(batch.step) * task.cost(outputs, batch).mean()
        own = {name: parameter for name, parameter in parameters.items() if name.startswith("task.")}
        error, *of_task = torch.autograd.grad(
            cost, [last[0], *own.values()], retain_graph=True, allow_unused=True
        )
        sent = _over_places(error, last_weight[0])
        roots = _Roots()
        roots.add(last[0], error)
        for name, x in entering:
            roots.add(x, (sent @ state[FEEDBACK + name]).view(x.shape), alone=True)
        for layer, (layer_cost, weight) in costs.items():
            answer = answers[layer]
            own_cost = weight * layer_cost.cost(answer, batch).mean()
            roots.add(answer, torch.autograd.grad(own_cost, answer, retain_graph=True)[0])
        of_network = {name: parameter for name, parameter in parameters.items() if name not in own}
        found = roots.gradient(list(of_network.values()))
        update = dict(zip([*own, *of_network], [*of_task, *found], strict=True))
        yield {name: each for name, each in update.items() if each is not None}


class _Roots:
    """Places where errors enter the graph; at some nothing that comes from above passes."""

    def __init__(self):
        self._errors: dict[int, tuple[Tensor, Tensor]] = {}
        self._alone: dict[int, Tensor] = {}

    def add(self, place: Tensor, error: Tensor, alone: bool = False) -> None:
        _, before = self._errors.get(id(place), (place, torch.zeros((), device=error.device)))
        self._errors[id(place)] = place, before + error
        if alone:
            self._alone[id(place)] = place

    def gradient(self, parameters: list[nn.Parameter]) -> tuple[Tensor | None, ...]:
        hooks = [
            place.register_hook(lambda _, error=self._errors[key][1]: error)
            for key, place in self._alone.items()
        ]
        places, errors = zip(*self._errors.values(), strict=True)
        found = torch.autograd.grad(places, parameters, errors, allow_unused=True)
        for hook in hooks:
            hook.remove()
        return found


def _n_outputs(maps: list[LinearMap]) -> int:
    return maps[-1].n_units


def _over_places(error: Tensor, weight: Tensor) -> Tensor:
    """Sum an error over a read-out's places, which come last in a convolution, and before the units else."""
    if error.ndim == 2:
        return error
    return error.flatten(1, -2).sum(1) if weight.ndim == 2 else error.flatten(2).sum(2)


def _is_sent(each: LinearMap) -> bool:
    return each.has_error and each.by_sample
