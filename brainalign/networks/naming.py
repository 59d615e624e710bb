"""What a network's name says: which network, and whether its weights are random."""

import re
from dataclasses import dataclass

from brainalign.errors import BrainalignError
from brainalign.networks.catalogue import find_family

_UNTRAINED = re.compile(r"(?P<base>.+)@untrained(?P<seed>[^/\\]*)")


@dataclass(frozen=True)
class NetworkName:
    """A network's name in its parts; as text, the name in full.

    Parameters
    ----------
    base
        The name without ``@untrained``.
    untrained
        Whether its weights are random.
    seed
        Of the random weights; -1 where they are not.

    Examples
    --------
    >>> str(NetworkName("convnet", untrained=True, seed=0))
    'convnet@untrained:0'
    """

    base: str
    untrained: bool = False
    seed: int = -1

    def __str__(self) -> str:
        return f"{self.base}@untrained:{self.seed}" if self.untrained else self.base


def parse_network_name(name: str) -> NetworkName:
    """Take a network's name apart.

    A network of which there are no trained weights is untrained by its bare name, with seed 0.

    Raises
    ------
    BrainalignError
        The seed is no whole number from 0 to 2⁶³ − 1, or the network has no weights to draw.
    UnknownNameError
        There is no such network or family of networks.

    Examples
    --------
    >>> parse_network_name("torchvision:resnet18@untrained:3")
    NetworkName(base='torchvision:resnet18', untrained=True, seed=3)
    >>> parse_network_name("convnet")
    NetworkName(base='convnet', untrained=True, seed=0)
    >>> parse_network_name("pixels")
    NetworkName(base='pixels', untrained=False, seed=-1)
    """
    match = _UNTRAINED.fullmatch(name)
    base = match["base"] if match else name
    seed = _parse_seed(name, match["seed"]) if match else 0
    family, _ = find_family(base)
    if family.weights == "fixed" and match:
        raise BrainalignError(f"The control {base!r} has no weights to draw; leave '@untrained' off its name.")
    if match or family.weights == "random":
        return NetworkName(base, untrained=True, seed=seed)
    return NetworkName(base)


def is_control(name: str) -> bool:
    """Tell whether a name is that of a control, which any network must beat.

    Examples
    --------
    >>> is_control("pixels:64"), is_control("convnet")
    (True, False)
    """
    family, _ = find_family(parse_network_name(name).base)
    return family.weights == "fixed"


def _parse_seed(name: str, text: str) -> int:
    if not text:
        return 0
    digits = re.fullmatch(r":([0-9]+)", text)
    if digits is None or int(digits[1]) >= 2**63:
        raise BrainalignError(
            f"{'@untrained' + text!r} in network {name!r} holds no seed: write NAME@untrained, or "
            "NAME@untrained:SEED with a whole number from 0 to 2⁶³ − 1."
        )
    return int(digits[1])
