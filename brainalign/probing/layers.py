"""Which layers of a network are probed: its blocks by default, or those that a glob names."""

import fnmatch
from collections.abc import Sequence

from torch import nn

from brainalign.errors import BrainalignError
from brainalign.names import unknown_name

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_FORWARDS = [container.forward for container in CONTAINERS]


def named_layers(network: nn.Module) -> list[str]:
    """Names of all modules inside a network, in the order in which they were defined."""
    return [name for name, _ in network.named_modules() if name]


def default_layers(network: nn.Module) -> list[str]:
    """Blocks of a network: its children, with plain containers opened.

    A ``Sequential``, ``ModuleList`` or ``ModuleDict`` without a ``forward`` of its own gives way to what
    it holds; any other module is one block. ResNet-18 has ``conv1, bn1, relu, maxpool, layer1.0,
    layer1.1, …, avgpool, fc``.

    Examples
    --------
    >>> default_layers(nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 1))))
    ['0', '1.0', '1.1']
    """
    names = set(named_layers(network))
    # A module that is shared has several names; it is known by the first.
    return [name for name in _blocks(network, "") if name in names]


def _blocks(module: nn.Module, prefix: str):
    for name, child in module.named_children():
        if isinstance(child, CONTAINERS) and type(child).forward in _FORWARDS:
            yield from _blocks(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def select_layers(network: nn.Module, layers: str | Sequence[str] | None = None) -> list[str]:
    """Names of the modules to probe.

    Parameters
    ----------
    network
        Any module.
    layers
        None for `default_layers`; else a glob, or several, over the names of all modules
        (``"*"`` is every named module, ``"layer4.*"`` those of one stage).

    Raises
    ------
    UnknownNameError
        A glob that no module's name matches.
    BrainalignError
        No glob, or a network without modules inside.

    Examples
    --------
    >>> select_layers(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), "1")
    ['1']
    """
    names = named_layers(network)
    if not names:
        raise BrainalignError(
            f"A network of class {type(network).__name__} has no modules inside, so no layer has a name; "
            "wrap it in torch.nn.Sequential."
        )
    if layers is None:
        return default_layers(network) or names
    globs = [layers] if isinstance(layers, str) else list(layers)
    if not globs:
        raise BrainalignError("An empty list of layers was given; name some, or give None for the blocks.")
    wanted: set[str] = set()
    for glob in globs:
        matched = [glob] if glob in names else fnmatch.filter(names, glob)
        if not matched:
            raise unknown_name("layer", glob, names)
        wanted.update(matched)
    return [name for name in names if name in wanted]
