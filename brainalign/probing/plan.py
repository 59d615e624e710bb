"""Which layers are held in memory, spooled to disk, or reached again in a further pass over the stimuli."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from brainalign.probing.pieces import Output, Piece, Size, pack

DISK_SHARE = 0.9
"""Share of the free disk that may be spooled to."""


@dataclass(frozen=True)
class Costs:
    """What routes cost on this machine.

    Parameters
    ----------
    reach
        Seconds until the network has given each output for all stimuli.
    spool
        Seconds to spool one byte and read it back.
    disk
        Bytes free to spool to.
    """

    reach: Mapping[Output, float]
    spool: float
    disk: int


@dataclass(frozen=True)
class Pass:
    """One showing of all stimuli, up to the last output that it keeps.

    Parameters
    ----------
    pieces
        Columns held in memory.
    spooled
        Outputs written to disk whole.
    """

    pieces: tuple[Piece, ...]
    spooled: tuple[Output, ...] = ()

    @property
    def outputs(self) -> list[Output]:
        """Outputs that the pass keeps something of."""
        return list(dict.fromkeys([*(piece.output for piece in self.pieces), *self.spooled]))

    def last(self, sizes: Mapping[Output, Size]) -> Output:
        """Give the output that the network gives last."""
        return max(self.outputs, key=lambda output: sizes[output].place)


def make_plan(
    sizes: Mapping[Output, Size], n_stimuli: int, budget: int, costs: Callable[[], Costs]
) -> list[Pass]:
    """Choose the cheapest way to keep every column once, never more than the budget in memory.

    If all fits, that is one pass. If not, early layers are wide and cheap to reach: from the first up to some
    layer they are taken in further passes that stop there; from that layer on a single pass holds what
    fits and spools the rest. Every place of the cut is tried, spooling nothing and everything among them.

    Parameters
    ----------
    sizes
        Outputs in the order in which the network gives them.
    budget
        Bytes.
    costs
        Called where there is a choice.

    Raises
    ------
    BrainalignError
        A budget that does not hold one column.
    """
    by_passes = [Pass(tuple(pieces)) for pieces in pack(sizes, n_stimuli, budget)]
    if len(by_passes) == 1:
        return by_passes
    known = costs()
    plans = [by_passes]
    outputs = list(sizes)
    for cut in range(len(outputs)):
        early = {output: sizes[output] for output in outputs[:cut]}
        late = {output: sizes[output] for output in outputs[cut:]}
        spooling = _held_and_spooled(late, n_stimuli, budget)
        if _spooled_bytes([spooling], sizes, n_stimuli) <= DISK_SHARE * known.disk:
            plans.append([*(Pass(tuple(pieces)) for pieces in pack(early, n_stimuli, budget)), spooling])
    return min(plans, key=lambda plan: seconds(plan, sizes, n_stimuli, known))


def seconds(plan: Sequence[Pass], sizes: Mapping[Output, Size], n_stimuli: int, costs: Costs) -> float:
    """Estimate the time of showing stimuli, spooling and reading back."""
    showing = sum(costs.reach[each.last(sizes)] for each in plan)
    return showing + costs.spool * _spooled_bytes(plan, sizes, n_stimuli)


def describe(plan: Sequence[Pass], sizes: Mapping[Output, Size], n_stimuli: int, derived: int) -> str:
    """Say in words what a plan does."""
    total = sum(_bytes(size, n_stimuli) for size in sizes.values())
    spooled = _spooled_bytes(plan, sizes, n_stimuli)
    lines = [
        f"{len(sizes)} outputs of {n_stimuli} stimuli take {total / 1e9:.3g} GB"
        + (f"; {derived} more follow from them" if derived else "")
        + f"; {len(plan)} {'pass' if len(plan) == 1 else 'passes'}, {spooled / 1e9:.3g} GB spooled to disk"
    ]
    for number, each in enumerate(plan, 1):
        held = sum((p.stop - p.start) * n_stimuli * sizes[p.output].dtype.itemsize for p in each.pieces)
        names = [name for name, _ in each.outputs]
        span = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
        lines.append(
            f"pass {number}: {span}, up to {each.last(sizes)[0]}: {held / 1e9:.3g} GB in memory, "
            f"{_spooled_bytes([each], sizes, n_stimuli) / 1e9:.3g} GB spooled"
        )
    return "\n".join(lines)


def _held_and_spooled(sizes: Mapping[Output, Size], n_stimuli: int, budget: int) -> Pass:
    """Hold the widest outputs that fit together, for each byte on the disk costs the same; spool the others."""
    held, free = set(), budget
    for output, size in sorted(sizes.items(), key=lambda item: -_bytes(item[1], n_stimuli)):
        if _bytes(size, n_stimuli) <= free:
            held.add(output)
            free -= _bytes(size, n_stimuli)
    pieces = tuple(Piece(output, 0, size.width) for output, size in sizes.items() if output in held)
    return Pass(pieces, tuple(output for output in sizes if output not in held))


def _spooled_bytes(plan: Sequence[Pass], sizes: Mapping[Output, Size], n_stimuli: int) -> int:
    return sum(_bytes(sizes[output], n_stimuli) for each in plan for output in each.spooled)


def _bytes(size: Size, n_stimuli: int) -> int:
    return n_stimuli * size.width * size.dtype.itemsize
