"""Pack the outputs of layers into passes over the stimuli, each within a memory budget."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from brainalign.errors import BrainalignError
from brainalign.probing.gram_sums import BLOCK

Output = tuple[str, int]
"""A module's name and the running number of its output within one pass."""


@dataclass(frozen=True)
class Size:
    """What is kept of one stimulus: the number of columns, of units behind them, and the columns' type.

    `place` is the number of module calls that the network has completed by then.
    """

    width: int
    n_units: int
    dtype: np.dtype
    place: int = 0


@dataclass(frozen=True)
class Piece:
    """Columns `start` to `stop` of one output: what one pass over the stimuli keeps of it."""

    output: Output
    start: int
    stop: int


def pack(sizes: Mapping[Output, Size], n_stimuli: int, budget: int) -> Iterator[list[Piece]]:
    """Pack the outputs, cut where they are too wide, into passes that each fit the budget in bytes.

    Cuts lie between blocks of one product, so that no digit depends on the budget, unless it does not hold one.

    Raises
    ------
    BrainalignError
        A budget that does not hold one column.

    Examples
    --------
    >>> sizes = {("conv", 0): Size(5, 5, np.dtype("float32"))}
    >>> [[(piece.start, piece.stop) for piece in pieces] for pieces in pack(sizes, 10, budget=120)]
    [[(0, 3)], [(3, 5)]]
    """
    pieces: list[Piece] = []
    free = budget
    for output, size in sizes.items():
        column = n_stimuli * size.dtype.itemsize
        if column > budget:
            raise BrainalignError(
                f"A memory budget of {budget} bytes holds not one unit's answers to {n_stimuli} stimuli "
                f"({column} bytes); raise it."
            )
        start = 0
        step = min(BLOCK, budget // column)
        while start < size.width:
            fits = free // column
            if fits < size.width - start:
                fits -= fits % step
            if fits < size.width - start and pieces and (fits == 0 or size.width * column <= budget):
                yield pieces
                pieces, free = [], budget
                continue
            stop = min(size.width, start + fits)
            pieces.append(Piece(output, start, stop))
            free -= (stop - start) * column
            start = stop
    if pieces:
        yield pieces
