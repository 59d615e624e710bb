"""The networks that are scored: by name or as modules, each with the controls that belong beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import nn

from brainalign.networks import is_control, load_network, parse_network_name, preprocessing_of
from brainalign.networks.gabor import SMALLEST_IMAGE

CONTROLS = ("pixels", "gabor")
UNTRAINED_SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Candidate:
    """A network under the name that the table gives it.

    Parameters
    ----------
    name
        The column ``network``.
    seed
        Seed of random weights, or −1.
    rule
        ``untrained`` for random weights, else empty where the rule is not known.
    module
        The network, or None to load it by `source` when it is needed.
    source
        The full name by which it is loaded.
    image_size
        Size at which a control sees the images.
    """

    name: str
    seed: int = -1
    rule: str = ""
    module: nn.Module | None = field(default=None, repr=False)
    source: str = ""
    image_size: int | None = None

    @property
    def control(self) -> bool:
        """Say whether this is a control that is no network, such as pixels."""
        return bool(self.source) and is_control(self.source)

    def load(self) -> nn.Module:
        """Give the network."""
        return self.module if self.module is not None else load_network(self.source, self.image_size)


def candidate(network: str | nn.Module | tuple[str, nn.Module]) -> Candidate:
    """Make a candidate of a network's name, a module, or a module with a name for the table."""
    if isinstance(network, tuple):
        return Candidate(network[0], module=network[1])
    if isinstance(network, nn.Module):
        return Candidate(type(network).__name__, module=network)
    parsed = parse_network_name(network)
    if parsed.untrained:
        return Candidate(f"{parsed.base}@untrained", parsed.seed, "untrained", source=network)
    return Candidate(network, source=network)


def with_controls(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Add the controls that a table of networks carries, where they are not there already.

    For each named network its architecture with random weights of three seeds; pixels and a Gabor
    energy bank at the size at which the networks see the images, which a control named without a size
    takes too.
    """
    networks = [each for each in candidates if not each.control]
    sizes = list(dict.fromkeys(preprocessing_of(each.load()).size for each in networks))
    found: dict[tuple[str, int], Candidate] = {}
    for each in candidates:
        for one in _sized(each.name, sizes) if each.name in CONTROLS and sizes else [each]:
            found.setdefault((one.name, one.seed), one)
    for each in networks:
        if each.source:
            base = parse_network_name(each.source).base
            for seed in UNTRAINED_SEEDS:
                extra = candidate(f"{base}@untrained:{seed}")
                found.setdefault((extra.name, extra.seed), extra)
    for control in CONTROLS:
        for one in _sized(control, sizes):
            found.setdefault((one.name, one.seed), one)
    return list(found.values())


def _sized(control: str, sizes: Sequence[int]) -> list[Candidate]:
    """Give a control at each size that it can take; its name tells the size where there are several."""
    if control == "gabor":
        sizes = list(dict.fromkeys(max(size, SMALLEST_IMAGE) for size in sizes))
    return [
        Candidate(control if len(sizes) == 1 else f"{control}:{size}", source=control, image_size=size)
        for size in sizes
    ]
