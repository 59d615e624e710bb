"""Random numbers of mean zero, for feedback weights and for noise that is shown to layers."""

from collections.abc import Callable

import torch
from torch import Tensor

from brainalign.names import unknown_name

_DISTRIBUTIONS: dict[str, Callable[..., Tensor]] = {
    "gaussian": torch.randn,
    "uniform": lambda *shape, **more: (torch.rand(*shape, **more) - 0.5) * 12**0.5,
}


def check_distribution(distribution: str) -> None:
    """Raise `UnknownNameError` for a distribution that does not exist."""
    if distribution not in _DISTRIBUTIONS:
        raise unknown_name("distribution", distribution, _DISTRIBUTIONS)


def zero_mean_noise(
    distribution: str, shape: tuple[int, ...] | torch.Size, like: Tensor, generator: torch.Generator
) -> Tensor:
    """Draw independent numbers of mean 0 and variance 1.

    Parameters
    ----------
    distribution
        ``gaussian``, or ``uniform`` between −√3 and √3.
    shape
        How many.
    like
        A tensor whose kind of number and device they are to have.
    generator
        On the CPU; the same generator gives the same numbers on every device.

    Examples
    --------
    >>> noise = zero_mean_noise("uniform", (1000,), torch.zeros(()), torch.Generator().manual_seed(0))
    >>> bool(noise.abs().max() < 3**0.5)
    True
    """
    check_distribution(distribution)
    return _DISTRIBUTIONS[distribution](*shape, generator=generator, dtype=like.dtype).to(like.device)
