"""Representations on disk, keyed by all that determines them: weights, code, preprocessing, stimuli."""

import functools
import inspect
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import nn

from brainalign.data.stimuli import StimulusSet
from brainalign.files import cache_folder, content_hash, sha256_of, written_whole
from brainalign.networks import Preprocessing
from brainalign.probing.reduction import Reduction
from brainalign.probing.representation import Representation

log = logging.getLogger(__name__)

PLAIN = (int, float, str, bool, bytes, type(None), torch.dtype)


def network_key(
    network: nn.Module,
    preprocessing: Preprocessing,
    reduction: Reduction,
    stimuli: StimulusSet,
    device: torch.device,
) -> str | None:
    """Hash of everything that a representation depends on, or None where it cannot be told.

    The hash covers all parameters and buffers, the source files of all module classes and their plain
    attributes, the preprocessing with its image size, the reduction, the stimuli's ids and bytes, the
    versions of torch and torchvision, and this package's own probing code. A network with hooks of its
    own, or with attributes or code that cannot be read, has no key and is computed anew each time.
    """
    structure = _structure(network)
    if structure is None:
        return None
    parts: list[str | bytes | np.ndarray] = [
        structure,
        preprocessing.describe(),
        reduction.describe(),
        stimuli.content_hash(),
        f"{device.type} torch {torch.__version__} torchvision {torchvision.__version__}",
        _own_code(),
    ]
    for name, tensor in _tensors(network):
        values = tensor.detach().cpu().contiguous()
        raw = values.reshape(-1).view(torch.uint8).numpy()
        parts += [name, f"{values.dtype} {tuple(values.shape)}", raw]
    return content_hash(*parts)


def _tensors(network: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from network.named_parameters(remove_duplicate=False)
    yield from network.named_buffers(remove_duplicate=False)


def _structure(network: nn.Module) -> str | None:
    """Text of the modules' classes, code and plain attributes; None where something cannot be told."""
    lines = []
    for name, module in network.named_modules(remove_duplicate=False):
        if module._forward_hooks or module._forward_pre_hooks:
            log.info("not cached: module %r carries hooks of its own", name)
            return None
        code = _source_hash(type(module))
        attributes = {k: v for k, v in vars(module).items() if k not in _NN_MODULE_STATE}
        described = {k: _describe(v) for k, v in sorted(attributes.items())}
        unknown = [k for k, v in described.items() if v is None]
        if code is None or unknown:
            what = f"attribute {unknown[0]!r}" if unknown else "source code"
            log.info("not cached: the %s of module %r (%s) cannot be read", what, name, type(module).__name__)
            return None
        lines.append(f"{name} {type(module).__qualname__} {code} {described}")
    return "\n".join(lines)


_NN_MODULE_STATE = {*vars(nn.Module()), "training", "preprocessing"}


def _describe(value: object) -> str | None:
    """Text that is the same for the same value, or None."""
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, tuple | list | set | frozenset):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        texts = [_describe(item) for item in items]
        return None if None in texts else f"{type(value).__name__}{texts}"
    if isinstance(value, dict):
        return _describe([[key, item] for key, item in value.items()])
    if isinstance(value, np.ndarray):
        return content_hash(value)
    if isinstance(value, torch.Tensor):
        return content_hash(value.detach().cpu().numpy())
    if isinstance(value, functools.partial):
        return _describe([value.func, value.args, value.keywords])
    if inspect.isbuiltin(value):
        return value.__qualname__
    if inspect.isclass(value) or (inspect.isfunction(value) and value.__closure__ is None):
        source = _source_hash(value)
        return source and f"{value.__module__}.{value.__qualname__} {source}"
    return None


@functools.cache
def _source_hash(code: type) -> str | None:
    """Hash of the file in which a class or function is written, or None."""
    try:
        path = inspect.getsourcefile(code)
        return sha256_of(Path(path)) if path else None
    except (TypeError, OSError):
        return None


@functools.cache
def _own_code() -> str:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return content_hash(*[file.read_bytes() for file in files])


def _path(key: str, module: str) -> Path:
    return cache_folder() / "representations" / key[:2] / key / f"{content_hash(module)[:24]}.npz"


def cached_outputs(key: str, module: str) -> list[Representation] | None:
    """Representations of one module's outputs as stored, or None."""
    path = _path(key, module)
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            stimuli = tuple(stored["stimuli"].tolist())
            return [
                Representation(
                    layer,
                    stimuli,
                    stored[f"gram_{i}"],
                    stored[f"mean_products_{i}"],
                    float(stored["mean_norms"][i]),
                    stored[f"row_sums_{i}"],
                    int(stored["n_units"][i]),
                )
                for i, layer in enumerate(stored["layers"].tolist())
            ]
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, EOFError) as error:
        log.warning("a damaged cache file is computed anew: %s (%s)", path, error)
        path.unlink(missing_ok=True)
        return None


def store_outputs(key: str, module: str, outputs: list[Representation]) -> None:
    """Store the representations of one module's outputs, whole or not at all."""
    arrays: dict[str, np.ndarray] = {
        "layers": np.array([output.layer for output in outputs]),
        "stimuli": np.array(outputs[0].stimuli),
        "mean_norms": np.array([output.mean_norm for output in outputs]),
        "n_units": np.array([output.n_units for output in outputs]),
    }
    for i, output in enumerate(outputs):
        arrays[f"gram_{i}"] = output.gram
        arrays[f"mean_products_{i}"] = output.mean_products
        arrays[f"row_sums_{i}"] = output.row_sums
    with written_whole(_path(key, module)) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
