"""Show stimuli to a network and reduce each layer's answer to a representation, within a memory budget."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import psutil
import torch
from torch import nn

from brainalign.data.stimuli import StimulusSet
from brainalign.errors import BrainalignError, ResponsesError
from brainalign.names import unknown_name
from brainalign.networks import Preprocessing, preprocessing_of
from brainalign.probing.cache import cached_outputs, store_outputs
from brainalign.probing.hooks import placed_on
from brainalign.probing.keys import network_key
from brainalign.probing.layers import select_layers
from brainalign.probing.reduction import Reduction
from brainalign.probing.represent import represent
from brainalign.probing.representation import Representation
from brainalign.probing.showing import Showing

PRECISIONS = ("single", "double", "half")


def probe(
    network: nn.Module,
    stimuli: StimulusSet,
    layers: str | Sequence[str] | None = None,
    *,
    preprocessing: Preprocessing | None = None,
    reduction: str = "whole",
    keep_features: bool = False,
    batch_size: int = 32,
    memory: int | None = None,
    spool: str | Path | bool = True,
    precision: str = "single",
    cache: bool = True,
    device: str | torch.device | None = None,
) -> dict[str, Representation]:
    """Represent stimuli in the layers of a network.

    The network runs in evaluation mode without gradients and is left as it was: every module's mode,
    device and hooks, whatever happens. A module that is called several times, or gives a tuple, appears
    once for each output: ``relu[0]``, ``relu[1]``. A network that draws random numbers draws the same ones
    in every pass, by a seed of its own.

    Parameters
    ----------
    network
        Any module that takes images (batch, 3, height, width).
    stimuli
        Stimuli with images.
    layers
        See `select_layers`. A module that the network does not call is left out, unless it is named.
    preprocessing
        By default the network's own (`preprocessing_of`).
    reduction
        ``whole``, ``pool:GRID``, ``sample:UNITS`` or ``project[:DISTORTION]``, see `Reduction`.
    keep_features
        Keep the features in each representation, within `memory` for all layers together.
    batch_size
        Stimuli a forward pass.
    memory
        Bytes for features at a time, by default a quarter of the machine's memory. What does not fit is
        taken in further passes over the stimuli or spooled to disk, whichever costs less; the plan is logged.
        The digits do not depend on it. What the network itself takes for a batch comes on top.
    spool
        Folder to spool to, by default one in the cache; False never spools.
    precision
        ``single`` multiplies blocks of float32 features in float32 and adds them up in float64; ``double``
        multiplies in float64 too; ``half`` lets the network compute in half precision (float16 on CUDA,
        bfloat16 elsewhere).
    cache
        Read and write representations in the cache, keyed by content.
    device
        Where the network runs, by default where its parameters are.

    Returns
    -------
    dict
        A representation for each output of the layers, in the order in which the network computes them.

    Raises
    ------
    UnknownNameError
        A layer that the network does not have, or an unknown precision.
    ResponsesError
        No stimuli, or none with images; a layer that is named and not called; a layer whose output is
        complex, empty, NaN, infinite, without a batch dimension or of a size that changes from batch to
        batch; batch norm without running statistics.
    BrainalignError
        A memory budget that is too small, a spool folder that cannot be written or is full, a batch size
        below one, or a device that there is not.
    """
    names = select_layers(network, layers)
    if not len(stimuli):
        raise ResponsesError(f"Stimulus set {stimuli.name!r} is empty.")
    if batch_size < 1:
        raise BrainalignError(f"The batch size is {batch_size}; it must be a whole number of at least 1.")
    preprocessing = preprocessing or preprocessing_of(network)
    bring_down = Reduction.parse(reduction)
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    where = _device(network, device)
    key_of = partial(network_key, network, preprocessing, bring_down, stimuli, where, precision)
    key = key_of() if cache and not keep_features else None
    found = {name: cached_outputs(key, name, stimuli.ids) for name in names} if key else {}
    missing = [name for name in names if found.get(name) is None]
    if missing:
        showing = Showing(network, stimuli, preprocessing, batch_size, where, precision == "half")
        budget = memory if memory is not None else psutil.virtual_memory().total // 4
        with placed_on(network, where if device is not None else None):
            computed = represent(
                showing, missing, bring_down, budget, spool, precision == "double", keep_features
            )
        # What has changed meanwhile (a state of the network's own, an image file) is not what the key says.
        if key and not showing.random and key == key_of():
            store_outputs(key, computed)
        found |= computed
    outputs = {name: found[name] or [] for name in names}
    _raise_if_silent(outputs, [layers] if isinstance(layers, str) else layers)
    in_order = sorted((output for given in outputs.values() for output in given), key=lambda each: each.place)
    return {output.layer: output for output in in_order}


def _device(network: nn.Module, device: str | torch.device | None) -> torch.device:
    if device is not None:
        try:
            return torch.device(device)
        except RuntimeError as error:
            raise BrainalignError(f"Device {device!r} is none that torch knows: {error}") from error
    for tensor in [*network.parameters(), *network.buffers()]:
        return tensor.device
    return torch.device("cpu")


def _raise_if_silent(outputs: Mapping[str, Sequence], asked: Sequence[str] | None) -> None:
    """Raise if a layer that was named, or every layer, gave no output."""
    silent = [name for name, given in outputs.items() if not given]
    named = [name for name in silent if name in (asked or ())]
    if named or len(silent) == len(outputs):
        raise ResponsesError(
            f"The network never calls layer {(named or silent)[0]!r} on these stimuli; leave it out of the "
            "layers."
        )
