"""Random weights that a seed alone decides, without a trace in torch's global random state."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from brainalign.errors import BrainalignError


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's random numbers for the length of a block, then put the old state back.

    A GPU's too, where one is in use already; weights are always drawn on the CPU, so this wakes none.

    Examples
    --------
    >>> with seeded(3):
    ...     a = torch.rand(2)
    >>> with seeded(3):
    ...     b = torch.rand(2)
    >>> bool((a == b).all())
    True
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        if devices:
            torch.cuda.manual_seed_all(seed)
        yield


@torch.no_grad()
def reinitialise(network: nn.Module, seed: int) -> None:
    """Draw all weights afresh, each by its module's own ``reset_parameters``, in place.

    Submodules come before the modules that hold them, so that a whole network's own
    ``reset_parameters`` has the last word. Running statistics of normalisation layers start anew.

    Raises
    ------
    BrainalignError
        A parameter that no ``reset_parameters`` sets.
    """
    network.cpu()
    for parameter in network.parameters():
        if parameter.is_floating_point():
            # Whatever is still NaN at the end, no reset has reached.
            parameter.fill_(torch.nan)
    with seeded(seed):
        for module in reversed(list(network.modules())):
            # The underscore is nn.MultiheadAttention's and nn.Transformer's spelling.
            for name in ("reset_parameters", "_reset_parameters"):
                reset = getattr(module, name, None)
                if callable(reset):
                    reset()
                    break
    kept = [name for name, parameter in network.named_parameters() if parameter.isnan().any()]
    if kept:
        owner = network.get_submodule(kept[0].rpartition(".")[0])
        raise BrainalignError(
            f"{len(kept)} parameters of {type(network).__name__} cannot be drawn afresh, such as "
            f"{kept[0]!r}: no reset_parameters sets them. Give {type(owner).__name__} a method "
            "reset_parameters() that does, or let the factory itself make random weights and leave "
            "'@untrained' off its name."
        )
