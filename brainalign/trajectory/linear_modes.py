"""The singular modes of a task, linear networks that learn them, and their strengths over checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import BrainalignError
from brainalign.networks.layered import Block, BlockNetwork, LayeredNetwork
from brainalign.tasks import Task
from brainalign.training import Run

WHITE = 1e-5
"""By how much the inputs' correlation may differ from the identity: what single precision leaves."""


@dataclass(frozen=True)
class Modes:
    r"""Singular value decomposition of a task's input-output correlation, :math:`\Sigma_{yx} = U S V^\top`.

    Parameters
    ----------
    s
        Singular values above 0, descending.
    u, v
        Singular vectors of outputs and inputs, one a column: complete bases, the modes first.
    """

    s: Float[np.ndarray, " mode"]
    u: Float[np.ndarray, "output output"]
    v: Float[np.ndarray, "input input"]

    def __len__(self) -> int:
        return len(self.s)


def task_modes(task: Task) -> Modes:
    r"""Give the modes of a regression on white inputs.

    .. math:: \Sigma_{yx} = \tfrac{1}{N} \sum_i y_i x_i^\top = U S V^\top

    Raises
    ------
    BrainalignError
        The task has no vectors as targets, or its inputs are not white: the theory is not about it. Inputs that
        are always 0 are passed over.

    Examples
    --------
    >>> from brainalign.tasks import find_task
    >>> task_modes(find_task("singular_modes:values=4-2-1")).s.round(3)
    array([4., 2., 1.])
    """
    batches = list(task.seen())
    targets = [batch.targets for batch in batches if batch.targets is not None]
    if len(targets) < len(batches) or targets[0].ndim != 2 or not targets[0].is_floating_point():
        raise BrainalignError(f"Task {task.name!r} has no vectors as targets; choose singular_modes.")
    x = torch.cat([batch.inputs.flatten(1) for batch in batches]).double().numpy()
    y = torch.cat(targets).double().numpy()
    shown = np.abs(x).max(0) > 0
    away = np.abs(x.T @ x / len(x) - np.diag(shown)).max()
    if away > WHITE:
        raise BrainalignError(
            f"The inputs of task {task.name!r} are not white: their correlation is {away:.2g} away from the "
            "identity. The theory needs white inputs; choose singular_modes."
        )
    u, s, vt = np.linalg.svd(y.T @ x / len(x))
    return Modes(s[s > WHITE * s[0]], u, vt.T)


class DeepLinear(BlockNetwork):
    """Linear maps alone, without biases: one weight matrix more than there are hidden layers.

    Parameters
    ----------
    n_inputs, n_outputs
        Units at both ends.
    hidden
        Units of the hidden layers; none for one weight matrix, the shallow control.

    Examples
    --------
    >>> [layer.name for layer in DeepLinear(16, 10, hidden=(8,)).layers]
    ['blocks.0.linear', 'head']
    """

    def __init__(self, n_inputs: int, n_outputs: int, hidden: Sequence[int] = ()):
        super().__init__()
        self.blocks = nn.Sequential()
        for width in hidden:
            self.blocks.append(Block(nn.Linear(n_inputs, width, bias=False), nn.Identity()))
            n_inputs = width
        self.head = nn.Linear(n_inputs, n_outputs, bias=False)


def balanced_network(modes: Modes, start: float, hidden: Sequence[int] = (), seed: int = 0) -> DeepLinear:
    r"""Make a linear network that starts balanced and aligned with modes, each at the same small strength.

    .. math::
        W_l = R_l\, \mathrm{diag}(a_0^{1 / L})\, R_{l-1}^\top, \qquad R_0 = V, \quad R_L = U

    with orthonormal columns in the R of hidden layers, drawn once: :math:`W_{l+1}^\top W_{l+1} = W_l W_l^\top`,
    and the theory is exact, but for the size of the steps.

    Parameters
    ----------
    modes
        The modes of the task.
    start
        Their strengths at the start, a₀.
    hidden
        Units of the hidden layers.
    seed
        Seed of what is drawn.

    Raises
    ------
    BrainalignError
        A hidden layer of fewer units than there are modes, or a start that is not above 0.

    Examples
    --------
    >>> from brainalign.tasks import find_task
    >>> modes = task_modes(find_task("singular_modes:values=4-2-1"))
    >>> network = balanced_network(modes, start=0.01, hidden=(8,))
    >>> (modes.u.T @ network_map(network) @ modes.v)[:3, :3].round(4)
    array([[0.01, 0.  , 0.  ],
           [0.  , 0.01, 0.  ],
           [0.  , 0.  , 0.01]])
    """
    if not start > 0:
        raise BrainalignError(f"Modes that start at {start:g} are never learned; give a strength above 0.")
    if min(hidden, default=len(modes)) < len(modes):
        raise BrainalignError(
            f"Hidden layers of {min(hidden)} units cannot hold {len(modes)} modes; give that many at least."
        )
    generator = torch.Generator().manual_seed(seed)
    ends = [torch.from_numpy(each[:, : len(modes)]) for each in (modes.v, modes.u)]
    rotations = [ends[0], *(_orthonormal(width, len(modes), generator) for width in hidden), ends[1]]
    network = DeepLinear(len(modes.v), len(modes.u), hidden)
    strength = start ** (1 / (len(hidden) + 1))
    with torch.no_grad():
        for layer, below, above in zip(network.layers, rotations[:-1], rotations[1:], strict=True):
            layer.linear.weight.copy_(strength * above @ below.T)
    return network


def layer_weights(network: nn.Module) -> list[Float[np.ndarray, "output input"]]:
    """Give the weights of a linear network's layers, in float64; biases are left out.

    Raises
    ------
    BrainalignError
        The network is no stack of fully connected layers without activations.
    """
    layers = network.layers if isinstance(network, LayeredNetwork) else ()
    plain = [isinstance(x.linear, nn.Linear) and isinstance(x.activation, nn.Identity) for x in layers]
    if not layers or not all(plain):
        raise BrainalignError(
            f"{type(network).__name__} is no stack of linear maps, whose weights could be multiplied; train a "
            "balanced_network, or mlp:activation=linear."
        )
    return [layer.linear.weight.detach().cpu().double().numpy() for layer in layers]


def network_map(network: nn.Module) -> Float[np.ndarray, "output input"]:
    """Multiply the weights of a linear network.

    Raises
    ------
    BrainalignError
        As `layer_weights`.

    Examples
    --------
    >>> network_map(DeepLinear(16, 10, hidden=(8,))).shape
    (10, 16)
    """
    return reduce(lambda below, above: above @ below, layer_weights(network))


def mode_maps(run: Run, modes: Modes) -> xr.DataArray:
    r"""Give a run's linear map at each checkpoint in the basis of modes, :math:`U^\top W V`.

    Strengths of modes are on the diagonal; elsewhere is what leads from one mode's input to another's output.

    Returns
    -------
    xr.DataArray
        Dims (checkpoint, output_mode, input_mode), with the steps as coordinates of ``checkpoint``; attributes
        ``depth``, the number of weight matrices, and ``lr``, the learning rate.

    Raises
    ------
    BrainalignError
        The network is not linear, or not of the task's inputs and outputs.
    """
    networks = [run.load(step) for step in run.steps]
    maps = [network_map(network) for network in networks]
    if maps[0].shape != (len(modes.u), len(modes.v)):
        raise BrainalignError(
            f"The network maps {maps[0].shape[1]} inputs to {maps[0].shape[0]} outputs; these modes have "
            f"{len(modes.v)} and {len(modes.u)}. Give the modes of the run's own task."
        )
    rotated = np.stack([modes.u.T @ each @ modes.v for each in maps])
    return xr.DataArray(
        rotated,
        dims=("checkpoint", "output_mode", "input_mode"),
        coords={"checkpoint": run.steps},
        attrs={"depth": len(layer_weights(networks[0])), "lr": run.settings.lr},
    )


def mode_strengths(maps: xr.DataArray, n_modes: int) -> xr.DataArray:
    """Take the strengths of modes, (checkpoint, mode), from `mode_maps`; modes are numbered from 0."""
    strengths = maps.values[:, range(n_modes), range(n_modes)]
    coords = {"checkpoint": maps["checkpoint"].values, "mode": np.arange(n_modes)}
    return xr.DataArray(strengths, dims=("checkpoint", "mode"), coords=coords)


def _orthonormal(n: int, n_columns: int, generator: torch.Generator) -> Float[Tensor, "n column"]:
    drawn = torch.randn(n, n_columns, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(drawn).Q
