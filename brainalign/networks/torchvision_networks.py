"""Classification networks of torchvision, with the preprocessing of their weights."""

import contextlib
import http.client
import sys
from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import nn
from torchvision import models

from brainalign.errors import FetchError
from brainalign.files import sha256_of
from brainalign.names import unknown_name
from brainalign.networks.preprocessing import Preprocessing, set_preprocessing

# Where building without weights would give another architecture than building with the default ones.
AS_WITH_WEIGHTS: dict[str, dict[str, int]] = {
    "googlenet": {"aux_logits": False, "transform_input": True, "init_weights": True},
    "inception_v3": {"transform_input": True, "init_weights": True},
}


def torchvision_names() -> list[str]:
    """Names of torchvision's classification networks."""
    return models.list_models(module=models)


def make_torchvision(argument: str, seed: int | None, image_size: int | None) -> nn.Module:
    """Build a torchvision network.

    Parameters
    ----------
    argument
        Name of the architecture, such as ``resnet18``.
    seed
        None for torchvision's default weights, else leave the random weights that it starts with.
    image_size
        Pixels; the size that the default weights expect unless given.

    Raises
    ------
    UnknownNameError
        No such architecture.
    FetchError
        The weights cannot be downloaded, or their file is not what it should be.
    """
    if argument not in torchvision_names():
        raise unknown_name("torchvision network", argument, torchvision_names())
    weights = models.get_model_weights(argument)["DEFAULT"]
    preset = weights.transforms()
    preprocessing = Preprocessing(
        image_size or preset.crop_size[0],
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        interpolation=preset.interpolation.value,
    )
    if seed is None:
        network = _with_weights(argument, weights)
    else:
        options = dict(AS_WITH_WEIGHTS.get(argument, {}))
        if argument.startswith("vit_"):
            options["image_size"] = preprocessing.size
        network = models.get_model(argument, weights=None, **options)
    set_preprocessing(network, preprocessing)
    return network


def _with_weights(name: str, weights: models.WeightsEnum) -> nn.Module:
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    way_out = (
        f"Ask for random weights with 'torchvision:{name}@untrained', or download {weights.url} elsewhere "
        f"and put it at {file}."
    )
    _check_hash(name, file)
    try:
        # torch announces a download on stdout, which belongs to the command's own output.
        with contextlib.redirect_stdout(sys.stderr):
            return models.get_model(name, weights=weights)
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(
            f"The weights of network 'torchvision:{name}' cannot be had: {error}. {way_out}"
        ) from error
    except RuntimeError as error:
        if "invalid hash value" not in str(error):
            raise
        raise FetchError(
            f"The weights of network 'torchvision:{name}' were downloaded with a wrong checksum, and dropped: "
            f"{error}. Try again. {way_out}"
        ) from error


def _check_hash(name: str, file: Path) -> None:
    """Hold a file that is already there to the checksum in its name; torch checks only what it downloads."""
    _, dash, prefix = file.stem.rpartition("-")
    if dash and file.exists():
        found = sha256_of(file)
        if not found.startswith(prefix):
            raise FetchError(
                f"The weights of network 'torchvision:{name}' at {file} are not the file they should be: its "
                f"SHA-256 begins with {found[: len(prefix)]}, expected {prefix}. Delete it, and it is "
                f"downloaded again."
            )
