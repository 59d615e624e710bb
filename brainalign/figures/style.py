"""What every figure shares: colours, type, sizes in millimetres, and files that are whole and reproducible."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from brainalign.errors import BrainalignError
from brainalign.files import written_whole

# Okabe & Ito (2008), told apart under every common colour blindness; yellow is left out, too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "v", "D", "P", "X")
WARNING = "#D55E00"
FAINT = "#595959"
BAND = "#E3E3E3"

ONE_COLUMN = 85.0
TWO_COLUMNS = 180.0
POINTS_PER_MM = 72 / 25.4
SMALL_CHARACTER, LABEL_CHARACTER = 1.2, 1.25  # millimetres a character at 6 and 7 points, on the generous side

STYLE: dict = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.1,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "brainalign",
    "savefig.dpi": 300,
}
_METADATA: dict[str, dict[str, str | None]] = {
    ".pdf": {"CreationDate": None},
    ".png": {},
    ".svg": {"Date": None},
}


@contextlib.contextmanager
def in_style() -> Iterator[None]:
    """Draw or save with the house's type and lines, and leave matplotlib's settings as they were."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def save(figure: Figure, path: str | Path | Iterable[str | Path]) -> list[Path]:
    """Write a figure whole or not at all, with the same bytes each time.

    Parameters
    ----------
    figure
        The figure.
    path
        One file or several, each ending in ``.pdf``, ``.png`` or ``.svg``. A PNG (300 dots an inch) is
        written beside every vector file. Fonts in a PDF are embedded as TrueType.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    BrainalignError
        A file name with another ending.
    """
    named = [Path(path)] if isinstance(path, str | Path) else [Path(each) for each in path]
    for each in named:
        if each.suffix.lower() not in _METADATA:
            raise BrainalignError(
                f"A figure cannot be written to {str(each)!r}; let the name end in {', '.join(_METADATA)}."
            )
    wanted = list(dict.fromkeys(file for each in named for file in (each, each.with_suffix(".png"))))
    for file in wanted:
        kind = file.suffix.lower()
        with in_style(), written_whole(file) as temporary:
            figure.savefig(temporary, format=kind[1:], metadata=_METADATA[kind])
    return wanted


def spread_apart(
    heights: Float[np.ndarray, " label"], gap: float, bottom: float, top: float
) -> Float[np.ndarray, " label"]:
    """Move labels up or down, keeping their order, until neighbours are at least `gap` apart.

    All arguments are in one unit; `bottom` and `top` bound the labels as long as they fit in between.

    Examples
    --------
    >>> spread_apart(np.array([0.5, 0.45]), gap=0.1, bottom=0.0, top=1.0).round(2).tolist()
    [0.55, 0.45]
    """
    order = np.argsort(heights, kind="stable")
    placed = np.clip(heights[order], bottom, top)
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    if len(placed):
        placed[-1] = min(placed[-1], max(top, bottom + gap * (len(placed) - 1)))
    for i in range(len(placed) - 2, -1, -1):
        placed[i] = min(placed[i], placed[i + 1] - gap)
    result = np.empty_like(placed)
    result[order] = placed
    return result


def span(values: Sequence[int]) -> str:
    """Write a count that may differ between cells.

    Examples
    --------
    >>> span([640, 640]), span([33, 89, 50])
    ('640', '33–89')
    """
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low}–{high}"


def shortened(name: str, most: int) -> str:
    """Keep the end of a long name, which tells layers and runs apart.

    Examples
    --------
    >>> shortened("features.denseblock4", 12)
    '…denseblock4'
    """
    return name if len(name) <= most else "…" + name[-(most - 1) :]
