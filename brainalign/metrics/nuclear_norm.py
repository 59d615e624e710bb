r"""Sum of the singular values of a product of two sides, without some of the stimuli: exact, all at once."""

from itertools import combinations

import numpy as np
from jaxtyping import Float

Array = np.ndarray

STEP, REACH = 0.5, 1e6
"""Step of the quadrature in log t, with an error of exp(−π²/step), and how far it goes beyond the values."""

NULL = 1e-12
"""Share of the greatest eigenvalue under which one is 0 but for rounding."""


def nuclear_norm_changes(
    eigenvalues: Float[Array, " axis"],
    y: Float[Array, "set left axis"],
    towards_x: Float[Array, "set left axis"],
    x_gram: Float[Array, "set left left"],
) -> Float[Array, " set"]:
    r"""Change of the sum of singular values of C = XᵀY as C loses :math:`x_s^T y_s`, for sets s of one or two.

    Exactly, and without a decomposition for each set:

    .. math:: \lVert C'\rVert_* - \lVert C\rVert_* = \frac{1}{\pi} \int_0^\infty
        \log\frac{\det(C'^T C' + t^2)}{\det(C^T C + t^2)}\,dt

    since ∫ log (1 + (σ'² − σ²)/(σ² + t²)) dt = π(σ' − σ). The ratio is a determinant of twice as many rows as
    are left out. By log t the integrand has no singularity within π/2 of the real axis, so that the trapezoid
    rule converges exponentially.

    Parameters
    ----------
    eigenvalues
        Of CᵀC, in ascending order.
    y
        The rows y that are left out, in the axes of CᵀC.
    towards_x
        The rows Cᵀx, in the same axes.
    x_gram
        Inner products of the rows x.
    """
    squared_y = np.sum(y**2, axis=(1, 2))
    squared_x = np.trace(x_gram, axis1=1, axis2=2)
    size = np.sqrt(max(eigenvalues[-1], np.max(squared_x * squared_y)))
    held = eigenvalues > NULL * size**2
    u = towards_x[..., held] / np.sqrt(eigenvalues[held])
    rest = x_gram - _products(u)
    rest[np.trace(rest, axis1=1, axis2=2) <= NULL * squared_x] = 0
    # From here on in units of the size: singular values over it, rows over its root.
    y, u, rest, values = y / np.sqrt(size), u / np.sqrt(size), rest / size, eigenvalues[held] / size**2
    lowest = np.sqrt(values.min(initial=1.0))
    nodes = np.exp(np.arange(np.log(lowest / REACH), np.log(REACH), STEP))
    squares = nodes**2
    near = 1 / (values[:, None] + squares)
    of_y = (
        _sums(y[..., held], y[..., held], near)
        + np.moveaxis(_products(y[..., ~held]), 0, 2)[..., None] / squares
    )
    of_both = _sums(u, y[..., held], np.sqrt(values)[:, None] * near)
    of_x = np.moveaxis(rest, 0, 2)[..., None] + squares * _sums(u, u, near)
    one = np.eye(y.shape[1])[..., None, None]
    upper = np.concatenate([one - of_both, of_x], axis=1)
    lower = np.concatenate([-of_y, one - np.swapaxes(of_both, 0, 1)], axis=1)
    ratio = _determinant(np.concatenate([upper, lower]))
    # Singular values interlace, so it is no less than this; where the rank falls, rounding may be.
    log_ratio = np.log(np.maximum(ratio, (squares / (1 + squares)) ** y.shape[1]))
    # Towards 0 the logarithm is constant, and far out it falls off as 1/t².
    ends = log_ratio[:, 0] * nodes[0] + log_ratio[:, -1] * nodes[-1]
    return size / np.pi * (STEP * (log_ratio @ nodes - ends / 2) + ends)


def _products(rows: Float[Array, "set left axis"]) -> Float[Array, "set left left"]:
    return rows @ np.swapaxes(rows, 1, 2)


def _sums(
    a: Float[Array, "set left axis"], b: Float[Array, "set left axis"], weights: Float[Array, "axis node"]
) -> Float[Array, "left left set node"]:
    a, b = np.swapaxes(a, 0, 1), np.swapaxes(b, 0, 1)
    return (a[:, None] * b[None]) @ weights


def _determinant(matrix: Float[Array, "row row *other"]) -> Float[Array, "*other"]:
    """Give determinants of 2 × 2, or of 4 × 4 by the minors of their first two rows, all at once."""
    if len(matrix) == 2:
        return matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
    total = np.zeros(matrix.shape[2:])
    for one, other in combinations(range(4), 2):
        rest = [column for column in range(4) if column not in (one, other)]
        sign = -1 if (one + other) % 2 == 0 else 1
        total += sign * _determinant(matrix[:2, [one, other]]) * _determinant(matrix[2:, rest])
    return total
