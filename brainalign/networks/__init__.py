"""Networks as plain `torch.nn.Module`s, found by name."""

from brainalign.networks.catalogue import NetworkEntry, list_networks
from brainalign.networks.convnet import ConvNet
from brainalign.networks.gabor import Gabor
from brainalign.networks.layered import Layer, LayeredNetwork
from brainalign.networks.lenet import LeNet
from brainalign.networks.load import load_network
from brainalign.networks.mlp import MLP
from brainalign.networks.naming import NetworkName, is_control, parse_network_name
from brainalign.networks.normalised_stack import NormalisedLayer, NormalisedStack
from brainalign.networks.pixels import Pixels
from brainalign.networks.preprocessing import (
    DEFAULT_PREPROCESSING,
    Preprocessing,
    preprocessing_of,
    set_preprocessing,
)
from brainalign.networks.recurrent import LeakyNetwork, RecurrentNetwork
from brainalign.networks.residual import ResNet20
from brainalign.networks.softhebb_net import SoftHebbNet
from brainalign.networks.trainable import Shape, check_network, check_trainable, make_network

__all__ = [
    "DEFAULT_PREPROCESSING",
    "MLP",
    "ConvNet",
    "Gabor",
    "Layer",
    "LayeredNetwork",
    "LeNet",
    "LeakyNetwork",
    "NetworkEntry",
    "NetworkName",
    "NormalisedLayer",
    "NormalisedStack",
    "Pixels",
    "Preprocessing",
    "RecurrentNetwork",
    "ResNet20",
    "Shape",
    "SoftHebbNet",
    "check_network",
    "check_trainable",
    "is_control",
    "list_networks",
    "load_network",
    "make_network",
    "parse_network_name",
    "preprocessing_of",
    "set_preprocessing",
]
