"""The axis of training steps: logarithmic, and yet showing step 0."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

STEP_ZERO = 0.12
"""Room between step 0 and the first checkpoint after it, as a share of the decades that follow."""


def scale_steps(axes: Axes, steps: Float[np.ndarray, " checkpoint"]) -> None:
    """Lay ascending training steps out logarithmically, with step 0 a little before the first one after it."""
    positive = steps[steps > 0]
    if not len(positive):
        axes.set_xlim(-1, 1)
        axes.set_xticks([0], ["0"])
        return
    first, last = float(positive[0]), float(positive[-1])
    axes.set_xscale("symlog", linthresh=first, linscale=max(STEP_ZERO * np.log10(last / first), STEP_ZERO))
    powers = [10.0**k for k in range(int(np.floor(np.log10(first))), int(np.ceil(np.log10(last))) + 1)]
    shown = [power for power in powers if first <= power <= last]
    ticks = shown if len(shown) > 1 else sorted({first, last})
    ticks = [0.0, *ticks] if steps[0] == 0 else ticks
    axes.set_xticks(ticks, [step_in_words(tick) for tick in ticks])
    between = [digit * power for power in powers for digit in range(2, 10) if first < digit * power < last]
    axes.xaxis.set_minor_locator(FixedLocator(between))
    axes.tick_params(axis="x", which="minor", size=1.5, width=0.4)
    _set_limits(axes, float(steps[0]), last)


def _set_limits(axes: Axes, first: float, last: float) -> None:
    """Leave a margin at both ends that is the same on paper."""
    transform = axes.xaxis.get_transform()
    left, right = transform.transform(np.array([first, last]))
    margin = 0.03 * (right - left or 1.0)
    axes.set_xlim(*transform.inverted().transform(np.array([left - margin, right + margin])))


def step_in_words(step: float | int) -> str:
    """Write a number of steps in short.

    Examples
    --------
    >>> [step_in_words(step) for step in (0, 200, 1000, 25_000, 1e6)]
    ['0', '200', '1k', '25k', '1M']
    """
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if step >= unit:
            return f"{step / unit:.3g}{letter}"
    return f"{step:g}"
