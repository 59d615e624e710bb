"""Weights that a network starts from: those of another run, below a read-out of its own."""

import logging

import numpy as np
from torch import nn

from brainalign.errors import BrainalignError
from brainalign.files import content_hash
from brainalign.networks import preprocessing_of
from brainalign.training.checkpoint_file import load_checkpoint
from brainalign.training.run import open_run

log = logging.getLogger(__name__)

STANDARDISED_ALIKE = 0.01
"""Difference of means and deviations, of pixels from 0 to 1, within which two tasks show alike."""


def start_from(network: nn.Module, initial: str) -> str:
    """Copy a run's weights into a network, in place, and say in words what was copied.

    All that the network keeps must be there by its name and shape. The read-out alone, which is the module
    of the last parameters, may differ in shape, and then stays as it was drawn. What the rule, the task and the
    optimiser of that run kept is not copied.

    Parameters
    ----------
    network
        The network.
    initial
        ``DIR`` for a run's last checkpoint, or ``DIR@STEP``.

    Returns
    -------
    str
        What the run trained, its step, and a hash of the weights that were copied, wherever the folder is.

    Raises
    ------
    BrainalignError
        No run, or one of another network.
    """
    checkpoints = open_run(initial)
    if checkpoints is None:
        raise BrainalignError(f"{initial!r} is no run's folder to start from; give DIR, or DIR@STEP.")
    checkpoint = checkpoints[-1]
    settings = checkpoint.run.settings
    there, own = load_checkpoint(checkpoint.run.path, checkpoint.step)["network"], network.state_dict()
    differing = [name for name in own if name not in there or there[name].shape != own[name].shape]
    read_out = [name for name, _ in network.named_parameters()][-1].rpartition(".")[0] + "."
    wrong = [name for name in differing if not name.startswith(read_out) or name not in there]
    if wrong or len(differing) == len(own):
        raise BrainalignError(
            f"{initial!r} holds {settings.network!r}, which has no {(wrong or differing)[0]!r} of the shape of "
            "this network's. Start from a run of the same network; its read-out alone may differ."
        )
    seen, shown = settings.shape.preprocessing, preprocessing_of(network)
    close = np.allclose([seen.mean, seen.std], [shown.mean, shown.std], rtol=0, atol=STANDARDISED_ALIKE)
    if seen.size != shown.size or not close:
        log.warning(f"{initial}: its network saw images of another size, or standardised otherwise")
    copied = {name: there[name] for name in own if name not in differing}
    network.load_state_dict(own | copied)
    parts = [part for name, each in copied.items() for part in (name, each.cpu().numpy())]
    of_run = f"{settings.network}, {settings.task}, {settings.rule}, seed {settings.seed}"
    return f"{of_run}, step {checkpoint.step}: {content_hash(*parts)[:16]}"
