"""Representations on disk: a file for each module, whole or not at all."""

import hashlib
import io
import logging
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from brainalign.files import cache_folder, content_hash, written_whole
from brainalign.probing.representation import Representation

log = logging.getLogger(__name__)

_DIGEST_BYTES = hashlib.sha256().digest_size


def _path(key: str, module: str) -> Path:
    return cache_folder() / "representations" / key[:2] / key / f"{content_hash(module)[:24]}.npz"


def cached_outputs(key: str, module: str, stimuli: Sequence[str]) -> list[Representation] | None:
    """Representations of one module's outputs as stored under a key, or None.

    Parameters
    ----------
    key
        See `network_key`.
    module
        The module's name.
    stimuli
        The ids that the key stands for.
    """
    path = _path(key, module)
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        log.warning("the cache cannot be read, so layer %r is computed anew: %s", module, error)
        return None
    arrays, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if hashlib.sha256(arrays).digest() != digest:
        log.warning("a damaged cache file is computed anew: %s", path)
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return [
            Representation(
                layer,
                tuple(stimuli),
                stored[f"gram_{i}"],
                stored[f"mean_products_{i}"],
                float(stored["mean_norms"][i]),
                stored[f"row_sums_{i}"],
                int(stored["n_units"][i]),
                place=int(stored["places"][i]),
            )
            for i, layer in enumerate(stored["layers"].tolist())
        ]


def store_outputs(key: str, outputs: Mapping[str, Sequence[Representation]]) -> None:
    """Store the representations of each module's outputs under a key.

    A cache that cannot be written (a full disk, a folder without permission) costs a warning, never the
    representations.
    """
    try:
        for module, representations in outputs.items():
            _store(_path(key, module), representations)
    except OSError as error:
        log.warning("the cache cannot be written, so layers will be computed again next time: %s", error)


def _store(path: Path, outputs: Sequence[Representation]) -> None:
    arrays: dict[str, np.ndarray] = {
        "layers": np.array([output.layer for output in outputs], dtype=np.str_),
        "mean_norms": np.array([output.mean_norm for output in outputs], dtype=np.float64),
        "n_units": np.array([output.n_units for output in outputs], dtype=np.int64),
        "places": np.array([output.place for output in outputs], dtype=np.int64),
    }
    for i, output in enumerate(outputs):
        arrays[f"gram_{i}"] = output.gram
        arrays[f"mean_products_{i}"] = output.mean_products
        arrays[f"row_sums_{i}"] = output.row_sums
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    # The archive's comment, its last bytes, is the hash of all before it.
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = bytes(_DIGEST_BYTES)
    content = buffer.getbuffer()[:-_DIGEST_BYTES]
    with written_whole(path) as temporary:
        temporary.write_bytes(content.tobytes() + hashlib.sha256(content).digest())
