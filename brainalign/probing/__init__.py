"""The activations of a network, layer by layer, as representations."""

from brainalign.probing.layers import default_layers, named_layers, select_layers
from brainalign.probing.probe import probe
from brainalign.probing.representation import Representation

__all__ = ["Representation", "default_layers", "named_layers", "probe", "select_layers"]
