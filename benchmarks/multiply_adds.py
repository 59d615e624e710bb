"""Multiply-adds that a piece of work takes, so that its time can be held against theirs."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def multiply_adds(work: Callable[[], object]) -> int:
    """Count the multiply-adds of matrix products, convolutions and solved equations; all else counts nothing.

    Parameters
    ----------
    work
        What is done, once.
    """
    # torch's own counter leaves solving out.
    solving: dict[Any, Any] = {torch.ops.aten._linalg_solve_ex: _solving}
    with FlopCounterMode(display=False, custom_mapping=solving) as counted:
        work()
    return counted.get_total_flops() // 2


def _solving(matrix: tuple[int, ...], right: tuple[int, ...], *_rest: object, **_more: object) -> int:
    """Give the operations of elimination, 2 n³ / 3, and of two triangular systems, 2 n² for each column."""
    n = matrix[-1]
    columns = torch.Size(right).numel() // n
    return 2 * n**3 // 3 + 2 * n**2 * columns
