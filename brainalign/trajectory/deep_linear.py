r"""How modes of deep linear networks are learned from small weights (Saxe, McClelland & Ganguli 2014, 2019).

Inputs are white, :math:`\Sigma_{xx} = I`, and gradient flow lowers half the squared error. A network of L
weight matrices that starts balanced and aligned with :math:`\Sigma_{yx} = U S V^\top` then learns each singular
mode by itself. Its strength :math:`a = u^\top W_L \cdots W_1 v` follows

.. math:: \tau \dot a = L\, a^{2 - 2 / L} (s - a)

Gradient descent at a small learning rate η on the mean of :math:`\tfrac{1}{2} \lVert \hat y - y \rVert^2` over
samples, with :math:`\Sigma_{xx} = \tfrac{1}{N} \sum_i x_i x_i^\top`, is this flow, in steps, with
:math:`\tau = 1 / \eta`. (Costs that are summed over the N samples have τ = 1 / (N η); if sums take the place of
both means, τ = 1 / η again.)
"""

import numpy as np
from jaxtyping import Float
from scipy.integrate import quad, solve_ivp

from brainalign.errors import BrainalignError

Times = Float[np.ndarray, " time"]
PerMode = Float[np.ndarray, " mode"]
Curves = Float[np.ndarray, "time mode"]


def deep_curves(times: Times, s: PerMode, start: PerMode, tau: float) -> Curves:
    r"""Give the strengths of modes in a network of two weight matrices: sigmoids.

    .. math:: a(t) = \frac{s\, e^{2 s t / \tau}}{e^{2 s t / \tau} - 1 + s / a_0}

    Parameters
    ----------
    times
        Times from 0, in the unit of τ.
    s
        Singular values.
    start
        Strengths at time 0, a₀, above 0.
    tau
        The time constant.

    Examples
    --------
    >>> deep_curves(np.array([0.0, 3.45]), np.array([1.0]), np.array([0.001]), 1.0).round(2).T
    array([[0. , 0.5]])
    """
    return s / (1 + (s / start - 1) * np.exp(-2 * s * times[:, None] / tau))


def shallow_curves(times: Times, s: PerMode, start: PerMode, tau: float) -> Curves:
    r"""Give the strengths of modes in one weight matrix: no sigmoids, the control.

    .. math:: a(t) = s\,(1 - e^{-t / \tau}) + a_0\, e^{-t / \tau}

    Examples
    --------
    >>> shallow_curves(np.array([0.0, 1.0]), np.array([1.0]), np.array([0.0]), 1.0).round(2).T
    array([[0.  , 0.63]])
    """
    decay = np.exp(-times[:, None] / tau)
    return s * (1 - decay) + start * decay


def integrated_curves(times: Times, s: PerMode, start: PerMode, tau: float, depth: int) -> Curves:
    r"""Integrate :math:`\tau \dot a = L\, a^{2 - 2 / L} (s - a)` numerically, for L weight matrices.

    Examples
    --------
    >>> times, s, start = np.linspace(0.0, 9.0, 4), np.array([1.0]), np.array([0.01])
    >>> bool(np.allclose(integrated_curves(times, s, start, 1.0, 2), deep_curves(times, s, start, 1.0)))
    True
    """
    power = 2 - 2 / depth

    def slope(_t: float, a: np.ndarray) -> np.ndarray:
        return depth * np.maximum(a, 0) ** power * (s - a) / tau

    # From 0, where the strengths start, whatever time is asked for first.
    solved = solve_ivp(slope, (0.0, times.max()), start, "LSODA", times, rtol=1e-9, atol=1e-12)
    return solved.y.T


def mode_curves(times: Times, s: PerMode, start: PerMode, tau: float, depth: int = 2) -> Curves:
    """Give the strengths of modes over time: in closed form for one and two weight matrices, else integrated.

    Parameters
    ----------
    times
        Times from 0, ascending, in the unit of τ.
    s
        Singular values.
    start
        Strengths at time 0; above 0, unless there is one weight matrix.
    tau
        The time constant.
    depth
        Number of weight matrices, L.

    Raises
    ------
    BrainalignError
        Times that do not ascend from 0 or later, no positive τ, singular value or depth, or a start at which
        nothing is learned.

    Examples
    --------
    >>> s, start = np.array([2.0, 1.0]), np.array([0.01, 0.01])
    >>> mode_curves(np.array([0.0, 4.0]), s, start, tau=1.0, depth=3).round(2)
    array([[0.01, 0.01],
           [2.  , 0.64]])
    """
    if len(times) == 0 or times[0] < 0 or (np.diff(times) <= 0).any():
        raise BrainalignError("Times of learning curves must ascend, from 0 or later.")
    if not (tau > 0 and depth >= 1 and (s > 0).all()):
        raise BrainalignError(f"tau={tau}, depth={depth} and singular values {s} must all be positive.")
    if depth > 1 and not (start > 0).all():
        raise BrainalignError(
            f"Modes that start at {start.min():g} never move by this theory; give strengths above 0."
        )
    if depth == 1:
        return shallow_curves(times, s, start, tau)
    if depth == 2:
        return deep_curves(times, s, start, tau)
    return integrated_curves(times, s, start, tau, depth)


def crossing_times(share: float, s: PerMode, start: PerMode, tau: float, depth: int = 2) -> PerMode:
    r"""Give the times at which modes reach a share of their singular values.

    .. math::
        t = \frac{\tau}{L\, s^{p}} \int_{a_0 / s}^{f} \frac{dx}{x^{p} (1 - x)}, \qquad p = 2 - \tfrac{2}{L}

    NaN for a mode that starts above that share, or not above 0.

    Parameters
    ----------
    share
        The share f, between 0 and 1.
    s, start, tau, depth
        As of `mode_curves`.
    """
    if not 0 < share < 1:
        raise BrainalignError(
            f"A mode reaches shares between 0 and 1 of its singular value; {share} was given."
        )
    power = 2 - 2 / depth
    starts = np.broadcast_to(start, s.shape) / s

    def integral(low: float) -> float:
        if not 0 < low < share:
            return np.nan
        # Of the logarithm of x the integrand is smooth, however small a mode starts.
        found, _ = quad(lambda z: np.exp(z * (1 - power)) / -np.expm1(z), np.log(low), np.log(share))
        return found

    return tau / (depth * s**power) * np.array([integral(low) for low in starts])


def half_times(s: PerMode, start: PerMode, tau: float, depth: int = 2) -> PerMode:
    r"""Give the times at which modes are half learned.

    For two weight matrices :math:`t_{1/2} = \frac{\tau}{2 s} \ln(s / a_0 - 1)`, so that stronger modes come
    first; for one, :math:`\tau \ln(2 - 2 a_0 / s)`, whatever s where a₀ is small. NaN for a mode that starts
    above half.

    Examples
    --------
    >>> half_times(np.array([4.0, 2.0]), np.array([0.01, 0.01]), tau=100.0).round(1)
    array([ 74.9, 132.3])
    """
    return crossing_times(0.5, s, start, tau, depth)


def transition_widths(s: PerMode, start: PerMode, tau: float, depth: int = 2) -> PerMode:
    r"""Give the times from 10 to 90 % of the singular values.

    For two weight matrices :math:`\tau \ln(9) / s`; for one :math:`\tau \ln 9`; for L,
    :math:`\propto s^{2 / L - 2}`. NaN for a mode that starts above a tenth.

    Examples
    --------
    >>> transition_widths(np.array([4.0, 2.0]), np.array([0.01, 0.01]), tau=100.0).round(1)
    array([ 54.9, 109.9])
    """
    return crossing_times(0.9, s, start, tau, depth) - crossing_times(0.1, s, start, tau, depth)


def steepest_share(depth: int = 2) -> float:
    r"""Give the share of its singular value at which a mode rises fastest: how sigmoid its curve is.

    .. math:: f = \frac{2 L - 2}{3 L - 2}

    0 for one weight matrix, whose curves are steepest at the start; 1/2 for two; 2/3 for infinitely many.

    Examples
    --------
    >>> [round(steepest_share(depth), 3) for depth in (1, 2, 3)]
    [0.0, 0.5, 0.571]
    """
    return (2 * depth - 2) / (3 * depth - 2)
