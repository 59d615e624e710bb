"""What a metric is: a kernel on arrays, and the facts that it declares of itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Family = Literal[
    "predictivity",
    "joint_predictivity",
    "reverse",
    "matching",
    "decoding",
    "rdm",
    "joint_rdm",
    "gram",
    "dynamics",
    "tuning",
    "trajectory",
]
Need = Literal["gram", "features", "responses", "rdm", "repeats", "time", "labels"]
Invariance = Literal["rotation", "scaling", "translation"]


@dataclass(frozen=True)
class Metric:
    """One way to compare a layer with a region.

    Parameters
    ----------
    name
        Catalogue key with its options: ``rsa``, ``rsa:rdm=euclidean,compare=tau_a``.
    family
        How the kernel is called: a regression from Gram matrices, a comparison of dissimilarity
        matrices subject by subject, or a similarity of two Gram matrices.
    kernel
        The family's kernel.
    needs
        What the network and the recording must have.
    range
        Lowest and highest value of ``raw``.
    symmetric
        Whether network and brain may change places.
    invariances
        Changes of the network's features that leave the value as it is: rotation of the unit axes,
        isotropic scaling, and translation of all patterns by one vector.
    chance
        Expected ``raw`` when the stimuli of one side are permuted: a number, or a function of what the
        kernel compares.
    label
        What the value is, for axes and tables.
    citation
        Where the metric is defined.
    options
        The options with their values, defaults included.
    """

    name: str
    family: Family
    kernel: Any
    needs: frozenset[Need]
    range: tuple[float, float]
    symmetric: bool
    invariances: frozenset[Invariance]
    chance: float | Callable[..., float]
    label: str
    citation: str
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def joint(self) -> bool:
        """Say whether layers are compared together, with one value for all, not each by itself."""
        return self.family.startswith("joint")
