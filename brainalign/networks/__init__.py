"""Networks as plain `torch.nn.Module`s, found by name."""

from brainalign.networks.catalogue import NetworkEntry, list_networks
from brainalign.networks.convnet import ConvNet
from brainalign.networks.gabor import Gabor
from brainalign.networks.load import load_network
from brainalign.networks.naming import NetworkName, is_control, parse_network_name
from brainalign.networks.pixels import Pixels
from brainalign.networks.preprocessing import DEFAULT_PREPROCESSING, Preprocessing, preprocessing_of

__all__ = [
    "DEFAULT_PREPROCESSING",
    "ConvNet",
    "Gabor",
    "NetworkEntry",
    "NetworkName",
    "Pixels",
    "Preprocessing",
    "is_control",
    "list_networks",
    "load_network",
    "parse_network_name",
    "preprocessing_of",
]
