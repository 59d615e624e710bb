"""Networks to train: built for the images and the outputs of a task, with random weights."""

import inspect
from dataclasses import dataclass

import torch
from torch import nn
from torchvision import models

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.names import read_options, unknown_name
from brainalign.networks.alif import ALIF
from brainalign.networks.convnet import ConvNet
from brainalign.networks.ei_rnn import EIRNN
from brainalign.networks.factories import is_file_factory, make_from_file
from brainalign.networks.gru import GRU
from brainalign.networks.lenet import LeNet
from brainalign.networks.lif import LIF
from brainalign.networks.mlp import MLP
from brainalign.networks.preprocessing import Preprocessing, set_preprocessing
from brainalign.networks.recurrent import RecurrentNetwork
from brainalign.networks.residual import ResNet20
from brainalign.networks.rnn import RNN
from brainalign.networks.softhebb_net import SoftHebbNet
from brainalign.networks.torchvision_networks import AS_WITH_WEIGHTS, torchvision_names
from brainalign.networks.untrained import seeded

OF_IMAGES: dict[str, type[nn.Module]] = {
    "mlp": MLP,
    "convnet": ConvNet,
    "lenet": LeNet,
    "resnet20": ResNet20,
    "softhebb_net": SoftHebbNet,
}
RECURRENT: dict[str, type[RecurrentNetwork]] = {
    "rnn": RNN,
    "gru": GRU,
    "ei_rnn": EIRNN,
    "lif": LIF,
    "alif": ALIF,
}
OWN: dict[str, type[nn.Module]] = OF_IMAGES | RECURRENT

_SHAPE = ("image_size", "n_outputs", "n_channels", "n_inputs")


@dataclass(frozen=True)
class Shape:
    """What a task asks of a network.

    Parameters
    ----------
    preprocessing
        Size and colour channels of the images.
    n_outputs
        Units of the read-out.
    activation
        For networks of images whose name leaves it open.
    n_inputs
        Inputs at each time step, for tasks of recurrent networks; 0 for tasks on images.
    """

    preprocessing: Preprocessing
    n_outputs: int
    activation: str = "relu"
    n_inputs: int = 0


def make_network(name: str, shape: Shape, seed: int = 0) -> nn.Module:
    """Build a network for a task, its weights drawn under a seed.

    Parameters
    ----------
    name
        ``mlp``, ``convnet``, ``lenet``, ``resnet20`` or ``softhebb_net``, with options after a colon
        (``mlp:hidden=500-300,activation=sigmoid``), ``torchvision:NAME``, or ``path.py:FACTORY`` (whose
        network must take the task's images and give its outputs); for tasks over time ``rnn``, ``gru``,
        ``ei_rnn``, ``lif`` or ``alif``.
    shape
        Images, or inputs at each time step, and outputs.
    seed
        Seed of the weights.

    Raises
    ------
    UnknownNameError
        No such network, option or activation.
    BrainalignError
        A network that cannot be shown such images or has another number of outputs.

    Examples
    --------
    >>> network = make_network("mlp:hidden=20", Shape(Preprocessing(8, (0.5,), (0.5,)), n_outputs=10))
    >>> [tuple(layer.linear.weight.shape) for layer in network.layers]
    [(20, 64), (10, 20)]
    """
    with seeded(seed):
        network = _built(name, shape, seed)
        check_network(network, name, shape)
    set_preprocessing(network, shape.preprocessing)
    return network


def check_trainable(name: str) -> None:
    """Raise unless `make_network` knows a name and its options."""
    head, _, argument = name.partition(":")
    if is_file_factory(name):
        return
    if head == "torchvision":
        if argument not in torchvision_names():
            raise unknown_name("torchvision network", argument, torchvision_names())
    elif head in OWN:
        _options(head, argument)
    else:
        if name in torchvision_names():
            raise UnknownNameError(f"Unknown network to train {name!r}. Did you mean 'torchvision:{name}'?")
        raise unknown_name("network to train", name, [*OWN, "torchvision:NAME", "path.py:FACTORY"])


def _built(name: str, shape: Shape, seed: int) -> nn.Module:
    check_trainable(name)
    head, _, argument = name.partition(":")
    size = shape.preprocessing.size
    if is_file_factory(name):
        return make_from_file(name, seed, size)
    if head == "torchvision":
        options: dict = dict(AS_WITH_WEIGHTS.get(argument, {}))
        if argument == "inception_v3":
            options["aux_logits"] = False  # in training it would answer with two tensors
        if argument.startswith("vit_"):
            options["image_size"] = size
        return models.get_model(argument, weights=None, num_classes=shape.n_outputs, **options)
    options = _options(head, argument)
    if head in RECURRENT:
        if not shape.n_inputs:
            raise BrainalignError(
                f"Network {head!r} is recurrent and sees no images; give it a task over time."
            )
        return RECURRENT[head](shape.n_inputs, shape.n_outputs, **options)
    if shape.n_inputs:
        raise BrainalignError(
            f"Network {head!r} is one of images; this task needs a recurrent one: {', '.join(RECURRENT)}."
        )
    if "activation" in inspect.signature(OWN[head]).parameters:
        options.setdefault("activation", shape.activation)
    return OF_IMAGES[head](size, shape.n_outputs, shape.preprocessing.channels, **options)


def _options(head: str, text: str) -> dict:
    """Read the options of one of our own networks; widths of layers are written ``500-300``."""
    parameters = inspect.signature(OWN[head]).parameters
    defaults = {option: p.default for option, p in parameters.items() if option not in _SHAPE}
    written = {option: "" if isinstance(default, tuple) else default for option, default in defaults.items()}
    options = read_options(head, text, written)
    for option, value in options.items():
        if isinstance(defaults[option], tuple):
            widths = str(value).replace("_", "-").split("-")
            if not all(width.isdecimal() and int(width) > 0 for width in widths):
                raise BrainalignError(f"Option {head}:{option} is {value!r}; expected widths such as 500-300.")
            options[option] = tuple(int(width) for width in widths)
    return options


def check_network(network: nn.Module, name: str, shape: Shape) -> None:
    """Show a network two blank images, or two blank sequences, and look at what it answers.

    Raises
    ------
    BrainalignError
        It cannot be shown such images, or answers with another number of outputs.
    """
    if shape.n_inputs:
        _check_recurrent(network, name, shape)
        return
    size, channels = shape.preprocessing.size, shape.preprocessing.channels
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            device = next((parameter.device for parameter in network.parameters()), None)
            answer = network(torch.zeros(2, channels, size, size, device=device))
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        colours = "colour" if channels == 3 else "grey"
        raise BrainalignError(
            f"Network {name!r} takes no {colours} images of {size} × {size} pixels ({error}). Choose another "
            "network or another image set."
        ) from error
    finally:
        network.train(training)
    found = tuple(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__
    if found != (2, shape.n_outputs):
        raise BrainalignError(
            f"Network {name!r} answers two images with {found}; the task needs (2, {shape.n_outputs})."
        )


def _check_recurrent(network: nn.Module, name: str, shape: Shape) -> None:
    if not isinstance(network, RecurrentNetwork):
        raise BrainalignError(
            f"Network {name!r} is not recurrent; this task needs a network with a state, such as "
            f"{' or '.join(RECURRENT)}, or a RecurrentNetwork of your own."
        )
    found = network.n_inputs, network.n_outputs
    if found != (shape.n_inputs, shape.n_outputs):
        raise BrainalignError(
            f"Network {name!r} has {found[0]} inputs and {found[1]} outputs; the task needs {shape.n_inputs} "
            f"and {shape.n_outputs}."
        )
