"""Optimisers by name, with options in brackets of the name: ``momentum:beta=0.9,weight_decay=1e-4``."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from brainalign.errors import UnknownNameError
from brainalign.names import read_options, snake_case, unknown_name

_DEFAULTS: dict[str, dict[str, float]] = {
    "sgd": {"lr": 0.1, "weight_decay": 0.0},
    "momentum": {"lr": 0.01, "beta": 0.9, "weight_decay": 0.0},
    "adam": {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.0},
    "rmsprop": {"lr": 1e-4, "decay": 0.99, "epsilon": 1e-8, "weight_decay": 0.0},
}

_MAKERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda groups, o: torch.optim.SGD(groups, o["lr"], weight_decay=o["weight_decay"]),
    "momentum": lambda groups, o: torch.optim.SGD(
        groups, o["lr"], momentum=o["beta"], weight_decay=o["weight_decay"]
    ),
    "adam": lambda groups, o: torch.optim.Adam(
        groups, o["lr"], (o["beta1"], o["beta2"]), o["epsilon"], o["weight_decay"]
    ),
    "rmsprop": lambda groups, o: torch.optim.RMSprop(
        groups, o["lr"], o["decay"], o["epsilon"], o["weight_decay"]
    ),
}


@dataclass(frozen=True)
class Optimizer:
    """An optimiser with its options.

    Parameters
    ----------
    kind
        ``sgd``, ``momentum``, ``adam`` or ``rmsprop``.
    options
        All its options, the learning rate ``lr`` among them.
    """

    kind: str
    options: dict[str, float]

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self.options["lr"]

    @property
    def name(self) -> str:
        """Name with the options other than the learning rate that are not the defaults."""
        defaults = _DEFAULTS[self.kind]
        changed = {o: v for o, v in self.options.items() if v != defaults[o] and o != "lr"}
        text = ",".join(f"{option}={value:g}" for option, value in changed.items())
        return f"{self.kind}:{text}" if text else self.kind

    def with_lr(self, lr: float) -> "Optimizer":
        """Give the same optimiser with another learning rate."""
        return Optimizer(self.kind, self.options | {"lr": lr})

    def make(self, groups: Iterable[dict]) -> torch.optim.Optimizer:
        """Make torch's optimiser of groups of parameters, each with the factor of its learning rate."""
        made = [{"params": group["params"], "lr": self.lr * group["factor"]} for group in groups]
        return _MAKERS[self.kind](made, self.options)


def find_optimizer(name: str) -> Optimizer:
    """Make an optimiser of its name and options.

    Raises
    ------
    UnknownNameError
        An optimiser or an option that does not exist, or a value of the wrong kind.

    Examples
    --------
    >>> find_optimizer("momentum:lr=0.05").lr
    0.05
    """
    key, _, text = name.partition(":")
    key = snake_case(key)
    if key not in _DEFAULTS:
        raise unknown_name("optimiser", key, _DEFAULTS)
    zero = {f"{key}:{option}" for option in ("weight_decay", "beta", "beta1", "beta2", "decay")}
    read = {
        option: float(str(value)) for option, value in read_options(key, text, _DEFAULTS[key], zero).items()
    }
    for option in ("beta", "beta1", "beta2", "decay"):
        if read.get(option, 0.0) >= 1:
            raise UnknownNameError(f"Option {key}:{option} is {read[option]:g}; expected a number below 1.")
    return Optimizer(key, _DEFAULTS[key] | read)
