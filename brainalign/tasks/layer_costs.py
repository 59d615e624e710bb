"""Costs without parameters that a layer pays for its own answer."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from brainalign.errors import BrainalignError, NeedsError
from brainalign.names import snake_case, unknown_name
from brainalign.tasks.schedule import Schedule
from brainalign.tasks.task import Batch, LayerCost, LayerCostFunction

EPSILON = 1e-8


def sparsity(answer: Float[Tensor, "sample ..."], batch: Batch) -> Float[Tensor, " sample"]:
    r"""Give the mean absolute activity, :math:`\frac{1}{K} \sum_k |h_k|`.

    Examples
    --------
    >>> import torch
    >>> sparsity(torch.tensor([[-1.0, 3.0]]), Batch(torch.zeros(1, 1)))
    tensor([2.])
    """
    return answer.flatten(1).abs().mean(1)


def label_similarity(answer: Float[Tensor, "sample ..."], batch: Batch) -> Float[Tensor, " sample"]:
    r"""Give how far answers are from being as similar as their labels (Nøkland & Eidnes 2019, eq. 1).

    .. math:: c_i = \frac{1}{n} \sum_j (S(h)_{ij} - S(t)_{ij})^2

    with :math:`S` the cosine between samples, each centred over its units, and :math:`t` one for a sample's
    category among those in the batch and zero elsewhere. As in their code, a feature map counts by its
    standard deviation over places.

    Raises
    ------
    NeedsError
        Samples without labels.
    """
    if batch.labels is None:
        raise NeedsError(
            "The cost label_similarity needs labels; choose images with categories, or another cost."
        )
    if answer.ndim > 2:
        maps = answer.flatten(2)
        answer = maps.std(2) if maps.shape[2] > 1 else maps[:, :, 0]
    _, category = batch.labels.unique(return_inverse=True)
    wanted = _cosines(F.one_hot(category).to(answer.dtype))
    return (_cosines(answer) - wanted).square().mean(1)


def _cosines(x: Float[Tensor, "sample unit"]) -> Float[Tensor, "sample sample"]:
    x = x - x.mean(1, keepdim=True)
    x = x / (x.norm(dim=1, keepdim=True) + EPSILON)
    return x @ x.T


LAYER_COSTS: dict[str, LayerCostFunction] = {"sparsity": sparsity, "label_similarity": label_similarity}
"""The costs at layers by name: (a layer's answer, batch) → cost of each sample."""


def parse_layer_cost(text: str) -> tuple[str, LayerCost]:
    """Read ``LAYER=COST``, or ``LAYER=COST:SCHEDULE``.

    Parameters
    ----------
    text
        Name of the layer's module, the cost, and its weight over the steps, as `Schedule.parse` reads it.

    Raises
    ------
    BrainalignError
        Another form, or a schedule that cannot be read.
    UnknownNameError
        No such cost.

    Examples
    --------
    >>> layer, cost = parse_layer_cost("blocks.1=sparsity:0:1/500:0")
    >>> layer, cost.name, cost.weight(250)
    ('blocks.1', 'sparsity', 0.5)
    """
    layer, _, rest = (part.strip() for part in text.partition("="))
    name, colon, schedule = rest.partition(":")
    if not layer or not name or (colon and not schedule):
        raise BrainalignError(
            f"{text!r} is no cost of a layer; write LAYER=COST or LAYER=COST:SCHEDULE, such as "
            "blocks.1=sparsity:0:1/500:0."
        )
    name = snake_case(name)
    if name not in LAYER_COSTS:
        raise unknown_name("cost of a layer", name, LAYER_COSTS)
    return layer, LayerCost(name, LAYER_COSTS[name], Schedule.parse(schedule) if colon else Schedule())
