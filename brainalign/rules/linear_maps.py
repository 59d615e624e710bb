"""The linear maps of any network, fully connected or convolutional, and what errors do on their way back."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import is_parametrized

from brainalign.errors import NeedsError
from brainalign.tasks.task import Task

Call = Callable[..., Tensor]
_OTHER_MAPS = (
    nn.Conv1d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Bilinear,
    nn.Embedding,
    nn.RNNBase,
    nn.RNNCellBase,
)


@dataclass(frozen=True)
class LinearMap:
    """A linear map as the network calls it.

    Parameters
    ----------
    name
        Name of its weights in the network.
    input_shape
        Of one sample.
    n_units
        Units of its answer, at one place.
    has_error
        Whether its input depends on weights, so that an error must be sent on.
    by_sample
        Whether its input is laid out sample by sample; inside attention it need not be.
    """

    name: str
    input_shape: tuple[int, ...]
    n_units: int
    has_error: bool
    by_sample: bool


def linear_maps(network: nn.Module, task: Task) -> list[LinearMap]:
    """Give the maps in the order in which the network calls them on the task's inputs.

    Raises
    ------
    NeedsError
        There is none, or there are maps of another kind, whose errors would go back unchanged.
    """
    others = {name: type(module).__name__ for name, module in network.named_modules() if _other(module)}
    if others:
        name, kind = next(iter(others.items()))
        raise NeedsError(
            f"Rules that replace the way back of errors know Linear and Conv2d; module {name!r} is a {kind}. "
            "Choose another network, or train this one by backprop."
        )
    changed = [name for name, module in network.named_modules() if is_parametrized(module)]
    if changed:
        raise NeedsError(
            f"The weights of module {changed[0]!r} are computed from others (a parametrisation), so that rules "
            "that replace the way back of errors cannot tell them. Remove it, or train by backprop."
        )
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found: dict[str, LinearMap] = {}

    def note(original: Call, x: Tensor, weight: Tensor, *rest, **more) -> Tensor:
        answer = original(x, weight, *rest, **more)
        name = names.get(id(weight))
        if name is not None and name not in found:
            by_sample = len(x) == len(batch)
            found[name] = LinearMap(name, tuple(x.shape[1:]), len(weight), x.requires_grad, by_sample)
        return answer

    batch = next(task.held_out(3)).to(next((p.device for p in network.parameters()), "cpu"))
    training = network.training
    network.eval()
    with torch.enable_grad(), calls_of_maps(note):
        task.rollout(network, batch)
    network.train(training)
    if not found:
        raise NeedsError(
            "This network has no Linear or Conv2d map, so there is nothing that the rule can train."
        )
    return list(found.values())


def check_feedback(rule: str, network: nn.Module, task: Task) -> None:
    """Raise unless errors can go back through other weights and nothing else does.

    Raises
    ------
    NeedsError
        Maps of another kind or none, or a cost that holds derivatives of the network.
    """
    if task.differentiates_network:
        raise NeedsError(
            f"The cost of task {task.name!r} holds derivatives of the network, which {rule} would replace as "
            "well; choose another task, or train by backprop."
        )
    linear_maps(network, task)


def _other(module: nn.Module) -> bool:
    return isinstance(module, _OTHER_MAPS)


@contextlib.contextmanager
def calls_of_maps(instead: Callable[..., Tensor]) -> Iterator[None]:
    """Have each linear map of a network run through ``instead(original, x, weight, …)``.

    torch's ``linear`` and ``conv2d`` are replaced for the length of a block, for attention and windows call
    them with weights of their own, without a module that could be overridden.
    """
    linear, conv2d = F.linear, F.conv2d
    F.linear = lambda *args, **more: instead(linear, *args, **more)
    F.conv2d = lambda *args, **more: instead(conv2d, *args, **more)
    try:
        yield
    finally:
        F.linear, F.conv2d = linear, conv2d


@contextlib.contextmanager
def feedback_through(network: nn.Module, feedback: Mapping[str, Tensor]) -> Iterator[None]:
    """Let errors go back through feedback weights instead of the forward weights.

    Each map still learns from the error that reaches it: only what it sends on is changed. A pass back costs
    what it costs in backprop.

    Parameters
    ----------
    network
        Any network of linear and convolutional maps.
    feedback
        Feedback weights by the name of the forward weights, in their shape; maps without keep theirs.
    """
    parameters = dict(network.named_parameters())
    by_weight = {id(parameters[name]): matrix for name, matrix in feedback.items()}

    def call(original: Call, x: Tensor, weight: Tensor, *rest, **more) -> Tensor:
        matrix = by_weight.get(id(weight))
        if matrix is None:
            return original(x, weight, *rest, **more)
        if original is _linear:
            return _LinearByFeedback.apply(x, weight, matrix, *_bias(*rest, **more))
        return _ConvByFeedback.apply(x, weight, matrix, *conv_options(weight, *rest, **more))

    with calls_of_maps(call):
        yield


_linear, _conv2d = F.linear, F.conv2d


def _bias(bias: Tensor | None = None) -> tuple[Tensor | None]:
    return (bias,)


def conv_options(weight: Tensor, bias=None, stride=1, padding=0, dilation=1, groups=1) -> tuple:
    """Spell out a convolution's options as its derivative takes them."""
    stride, dilation = _pair(stride), _pair(dilation)
    if padding == "valid":
        padding = 0
    elif padding == "same":
        spans = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        if any(span % 2 for span in spans):
            raise NeedsError("A convolution pads 'same' by an even kernel; feedback rules need equal sides.")
        padding = [span // 2 for span in spans]
    return bias, stride, _pair(padding), dilation, groups


def _pair(value: int | tuple[int, ...] | list[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


class _LinearByFeedback(torch.autograd.Function):
    """W x + b, whose errors go back through B in place of W."""

    @staticmethod
    def forward(ctx, x, weight, feedback, bias):
        ctx.save_for_backward(x, feedback)
        return _linear(x, weight, bias)

    @staticmethod
    def backward(ctx, *deltas):
        (delta,), (x, feedback) = deltas, ctx.saved_tensors
        needs_input, needs_weight, _, needs_bias = ctx.needs_input_grad
        flat = delta.flatten(0, -2)
        return (
            delta @ feedback if needs_input else None,
            flat.T @ x.flatten(0, -2) if needs_weight else None,
            None,
            flat.sum(0) if needs_bias else None,
        )


class _ConvByFeedback(torch.autograd.Function):
    """A convolution whose errors go back through B in place of W."""

    @staticmethod
    def forward(ctx, x, weight, feedback, bias, stride, padding, dilation, groups):
        ctx.save_for_backward(x, feedback)
        ctx.options = (stride, padding, dilation, False, [0, 0], groups)
        return _conv2d(x, weight, bias, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx, *deltas):
        (delta,), (x, feedback) = deltas, ctx.saved_tensors
        needs_input, needs_weight, _, needs_bias = ctx.needs_input_grad[:4]
        # The gradient of the weights does not depend on them, so one call gives both.
        of_input, of_weight, of_bias = torch.ops.aten.convolution_backward(
            delta, x, feedback, [len(feedback)], *ctx.options, [needs_input, needs_weight, needs_bias]
        )
        return of_input, of_weight, None, of_bias, None, None, None, None
