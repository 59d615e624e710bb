"""Networks of timm, with the preprocessing of their weights."""

import importlib.util

from torch import nn

from brainalign.errors import BrainalignError, FetchError
from brainalign.names import unknown_name
from brainalign.networks.extras import import_extra
from brainalign.networks.preprocessing import Preprocessing, set_preprocessing


def timm_names() -> list[str]:
    """Names of timm's networks, with and without the tag of their weights; none if it is not installed."""
    if importlib.util.find_spec("timm") is None:
        return []
    timm = import_extra("timm", "timm", "timm")
    return sorted({*timm.list_models(), *timm.list_pretrained()})


def make_timm(argument: str, seed: int | None, image_size: int | None) -> nn.Module:
    """Build a timm network.

    Parameters
    ----------
    argument
        Name of the architecture, with or without the tag of its weights: ``resnet18``,
        ``resnet18.a1_in1k``.
    seed
        None for pretrained weights, else leave the random weights that the architecture starts with.
    image_size
        Pixels; the size that the weights expect unless given.

    Raises
    ------
    UnknownNameError
        No such architecture.
    FetchError
        The weights cannot be downloaded.
    BrainalignError
        timm is not installed, the architecture has no weights, or its images are not square RGB.
    """
    timm = import_extra("timm", "timm", f"timm:{argument}")
    if argument not in timm_names():
        raise unknown_name("timm network", argument, timm_names())
    if seed is None and not timm.get_pretrained_cfg(argument).has_weights:
        raise BrainalignError(
            f"Network 'timm:{argument}' has no pretrained weights. Ask for random ones with "
            f"'timm:{argument}@untrained'."
        )
    try:
        network = timm.create_model(argument, pretrained=seed is None)
    except OSError as error:
        raise FetchError(
            f"The weights of network 'timm:{argument}' cannot be had: {error} Ask for random weights with "
            f"'timm:{argument}@untrained', or load it once with network access; timm keeps its weights in the "
            "Hugging Face cache (HF_HOME)."
        ) from error
    set_preprocessing(
        network, _preprocessing(argument, timm.data.resolve_model_data_config(network), image_size)
    )
    return network


def _preprocessing(name: str, config: dict, image_size: int | None) -> Preprocessing:
    channels, height, width = config["input_size"]
    if channels != 3 or (height != width and image_size is None):
        raise BrainalignError(
            f"Network 'timm:{name}' takes images of {channels} channels and {height} × {width} pixels; square "
            "RGB images are what brainalign can give it. Where only the shape is odd, name an image size."
        )
    return Preprocessing(
        image_size or height,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
    )
