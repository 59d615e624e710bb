"""Stimuli as networks are shown them; small ones are kept, for the next network is shown the same."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8

from brainalign.data.stimuli import StimulusSet
from brainalign.networks import Preprocessing

SMALL = 64
"""Pixels a side of what is kept at most."""

MOST = 8192
"""Images that are kept, a hundred megabytes at most: those shown last."""

_kept: OrderedDict[Hashable, UInt8[np.ndarray, "height width channel"]] = OrderedDict()


def shown(
    stimuli: StimulusSet, ids: Sequence[str], preprocessing: Preprocessing
) -> Float[torch.Tensor, "stimulus channel height width"]:
    """Give stimuli as a network is shown them, as ``preprocessing`` of their images would.

    Decoding and resizing photographs takes longer than a small network takes to answer them. An image is
    read anew where its file has been written to.
    """
    if preprocessing.size > SMALL or type(preprocessing) is not Preprocessing:
        return preprocessing([stimuli.image(stimulus) for stimulus in ids])
    pixels = np.stack([_small(stimuli, stimulus, preprocessing) for stimulus in ids])
    return preprocessing.standardised(torch.from_numpy(pixels).permute(0, 3, 1, 2))


def _small(
    stimuli: StimulusSet, stimulus: str, preprocessing: Preprocessing
) -> UInt8[np.ndarray, "height width channel"]:
    identity = stimuli.identity(stimulus)
    key = identity, preprocessing
    found = _kept.pop(key, None) if identity else None
    if found is None:
        (found,) = preprocessing.pixels([stimuli.image(stimulus)])
    if identity:
        _kept[key] = found
        if len(_kept) > MOST:
            _kept.popitem(last=False)
    return found
