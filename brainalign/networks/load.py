"""Load a network by its name."""

import torch
from torch import nn

from brainalign.errors import BrainalignError
from brainalign.networks.catalogue import find_family
from brainalign.networks.naming import parse_network_name
from brainalign.networks.untrained import seeded


def load_network(name: str, image_size: int | None = None) -> nn.Module:
    """Load a network by its name, on the CPU and in evaluation mode.

    torch's global random state is left as it was, and whatever a network draws while it is made is
    drawn under the seed of its name (0 unless given), so the same name gives the same weights.

    Parameters
    ----------
    name
        ``torchvision:NAME``, ``efficientnet-lite0``, ``timm:NAME``, ``convnet``, ``path.py:FACTORY``,
        a package's entry point, or a control, ``pixels[:SIZE]`` or ``gabor[:SIZE]``. With
        ``@untrained[:SEED]`` at its end, the same architecture with random weights.
    image_size
        Height and width of its input in pixels; its own unless given.

    Returns
    -------
    torch.nn.Module
        Its attribute ``preprocessing`` is the `Preprocessing` that its images need.

    Raises
    ------
    UnknownNameError
        No such network; the message shows the closest match.
    FetchError
        Its weights cannot be downloaded.
    BrainalignError
        A missing package, a malformed seed, a factory that fails, or an image size that it cannot take.

    Examples
    --------
    >>> network = load_network("convnet@untrained:1")
    >>> network.preprocessing.size
    32
    """
    if image_size is not None and image_size < 1:
        raise BrainalignError(f"Image size {image_size} is no number of pixels; give 1 or more.")
    parsed = parse_network_name(name)
    family, argument = find_family(parsed.base)
    with seeded(max(parsed.seed, 0)):
        network = family.make(argument, parsed.seed if parsed.untrained else None, image_size)
        network.cpu().eval()
        if image_size is not None:
            _check_image_size(network, name, image_size)
    return network


def _check_image_size(network: nn.Module, name: str, image_size: int) -> None:
    """Show the network one blank image: many take only the size that they were built for."""
    try:
        with torch.inference_mode():
            network(torch.zeros(1, 3, image_size, image_size))
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        raise BrainalignError(
            f"Network {name!r} takes no images of {image_size} × {image_size} pixels ({error}). Leave the "
            "image size out to have the network's own, or name another."
        ) from error
