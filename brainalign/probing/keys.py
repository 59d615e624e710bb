"""What a representation depends on, as one hash; None where that cannot be told."""

import functools
import importlib.metadata
import logging
import platform
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from brainalign.data.stimuli import StimulusSet
from brainalign.files import content_hash
from brainalign.networks import Preprocessing
from brainalign.probing.fingerprint import Fingerprint, UntoldError
from brainalign.probing.reduction import Reduction

log = logging.getLogger(__name__)

_PACKAGE = Path(__file__).parents[1]
# What shows the stimuli and reduces the answers; a network's own code is part of its fingerprint.
_OWN_FILES = [
    *_PACKAGE.glob("probing/*.py"),
    _PACKAGE / "networks/preprocessing.py",
    _PACKAGE / "data/stimuli.py",
]
_OWN_CODE = content_hash(*[file.read_bytes() for file in sorted(_OWN_FILES)])
_LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "pillow")
_MODULE_STATE = set(vars(nn.Module()))


def network_key(
    network: nn.Module,
    preprocessing: Preprocessing,
    reduction: Reduction,
    stimuli: StimulusSet,
    device: torch.device,
    precision: str = "single",
) -> str | None:
    """Hash of everything that a representation depends on, or None where it cannot be told.

    The hash covers all parameters and buffers, the code of all modules and their plain attributes (see
    `Fingerprint`), the preprocessing with its image size, the reduction, the precision, the stimuli's ids and
    bytes, torch's settings of precision, the versions of the libraries, and this package's own probing code. A
    network with hooks of its own, or with attributes or code that cannot be told apart by content, has no
    key and is computed anew each time.
    """
    try:
        return content_hash(
            *_network_parts(network, preprocessing, type(stimuli)),
            reduction.describe(),
            precision,
            stimuli.content_hash(),
            _settings(device),
            _OWN_CODE,
        )
    except (UntoldError, RecursionError) as error:
        log.info("not cached: %s", error)
        return None


def _network_parts(network: nn.Module, preprocessing: Preprocessing, shown: type) -> Iterator[str]:
    named = dict(network.named_modules(remove_duplicate=False))
    _raise_if_hooked(named)
    known: dict[str, object] = {f"module {name!r}": module for name, module in named.items()}
    known["stimulus set"] = StimulusSet
    for each in (preprocessing, vars(network).get("preprocessing")):
        if type(each) is Preprocessing:
            known[each.describe()] = each
    fingerprint = Fingerprint(known)
    yield from (fingerprint.describe(preprocessing), fingerprint.describe(shown))
    for name, module in named.items():
        yield f"{name} {fingerprint.describe(type(module))}"
        for key, value in sorted(vars(module).items()):
            if key not in _MODULE_STATE:
                yield f"{key} {_described(fingerprint, value, f'attribute {key!r} of module {name!r}')}"
    for name, tensor in [
        *network.named_parameters(remove_duplicate=False),
        *network.named_buffers(remove_duplicate=False),
    ]:
        yield f"{name} {_described(fingerprint, tensor, f'weight {name!r}')}"


def _described(fingerprint: Fingerprint, value: object, owner: str) -> str:
    try:
        return fingerprint.describe(value)
    except UntoldError as error:
        raise UntoldError(f"{owner} is or holds {error}") from error


def _raise_if_hooked(modules: dict[str, nn.Module]) -> None:
    for name, module in modules.items():
        # Backward hooks matter to networks that descend a gradient to find their answer.
        if any((module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)):
            raise UntoldError(f"module {name!r} carries hooks of its own")
        if any(vars(base).get("__slots__") for base in type(module).__mro__):
            raise UntoldError(f"module {name!r} keeps attributes in slots")
    if nn.modules.module._global_forward_hooks or nn.modules.module._global_forward_pre_hooks:
        raise UntoldError("all modules carry a hook")


def _settings(device: torch.device) -> str:
    """Describe the settings outside the network that its answers depend on."""
    autocast = torch.is_autocast_enabled(device.type) and torch.get_autocast_dtype(device.type)
    tf32 = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    precision = f"{torch.get_float32_matmul_precision()} {torch.get_default_dtype()} {autocast} {tf32}"
    return f"{device.type} {precision} {_versions()}"


@functools.cache
def _versions() -> str:
    libraries = [f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES]
    return f"{platform.machine()} python {platform.python_version()} {' '.join(libraries)}"
