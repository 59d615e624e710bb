"""Leading principal axes of a representation: how many hold a share of its variance, and how they turn."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from brainalign.metrics.canonical_pairs import Correlations, ratio
from brainalign.metrics.gram_kernel import Axes, Multiplicity

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class PrincipalAxes:
    """Principal axes of a representation over the stimuli, and the squared length along each, longest first."""

    axes: Axes
    squares: Float[Array, " axis"]

    @classmethod
    def of(cls, axes_and_lengths: tuple[Axes, Float[Array, " axis"]]) -> "PrincipalAxes":
        """Take axes with the lengths along them, as `gram_kernel.layer_axes` gives them."""
        axes, lengths = axes_and_lengths
        return cls(axes, lengths**2)

    def leading(self, variance: float) -> int:
        """Count the fewest axes that hold a share of the variance."""
        return int(_leading(self.squares[None], variance)[0])

    def leading_in_resamples(self, variance: float, multiplicity: Multiplicity) -> Int[Array, " resample"]:
        """Count them in each resample, where each axis's square is to first order Σ m_i (s u_i)²."""
        return _leading(multiplicity @ (self.axes**2 * self.squares), variance)

    def influence_of_turns(
        self,
        count: int,
        directions: Axes,
        partners: Axes,
        correlations: Correlations,
        weights: Correlations,
    ) -> Float[Array, " n"]:
        r"""Give what a weighted sum of correlations varies by as the leading axes turn to those left out.

        By the weight of stimulus i, axis a turns towards axis b by
        :math:`u_{ia} u_{ib}\, s_b^2 / (s_a^2 - s_b^2)` (perturbation of eigenvectors, in axes of length 1), and
        the correlation of direction :math:`h_k` with its partner :math:`h'_k` changes by that times
        :math:`\langle h_k, u_a \rangle \langle h'_k, u_b \rangle`. One axis of noise in place of another leaves
        correlations where they were, so the whole counts by the root of the share of its squares that unrelated
        data would not have, whose mean :math:`\langle h'_k, u_b \rangle^2` is
        :math:`(1 - \rho_k^2) / (n - 1 - p)` with p axes kept. (By that share of each axis apart, noise is left
        where its squares lie above their mean by chance: intervals of halves of real V4 were then 1.6 times too
        wide.) How PWCCA's weights change by these turns is left out.

        Parameters
        ----------
        count
            How many axes lead.
        directions, partners
            Canonical directions h in the span of these axes, and the other side's, h'.
        correlations, weights
            Of each pair of them, and in the sum.
        """
        n = len(self.axes)
        kept, left_out = self.axes[:, :count], self.axes[:, count:]
        squares = self.squares[count:]
        rates = squares * inverse_gaps(self.squares[:count], squares, n)
        held = kept.T @ directions * weights
        turns = rates * (held @ (left_out.T @ partners).T)
        of_noise = held**2 @ np.maximum(1 - correlations**2, 0) / (n - 1 - count)
        found, noise = np.sum(turns**2), np.sum(rates**2, axis=1) @ of_noise
        turns *= np.sqrt(max(found - noise, 0) / found) if found > 0 else 0
        return np.einsum("ib,ib->i", kept @ turns, left_out)


def inverse_gaps(first: Float[Array, " k"], second: Float[Array, " l"], n_stimuli: int) -> Float[Array, "k l"]:
    r"""Give :math:`d/(d^2 + e^2)` for each gap :math:`d = s_k^2 - s_l^2` of squares; 1/d where well known.

    Where squares are close, axes turn by more than a derivative can say, and which is the longer is not known.
    :math:`e^2 = (2 s_k^4 + 2 s_l^4 + s_k^2 s_l^2) / n` is the variance in Gaussian data of the gap, and of the
    product of both axes' scores that turns one to the other. Equal squares give 0.

    Examples
    --------
    >>> inverse_gaps(np.array([2.0]), np.array([2.0, 1.0]), 1000).round(3)
    array([[0.   , 0.988]])
    """
    gaps = np.subtract.outer(first, second)
    variances = (2 * np.add.outer(first**2, second**2) + np.multiply.outer(first, second)) / n_stimuli
    return ratio(gaps, gaps**2 + variances)


def _leading(squares: Float[Array, "row axis"], variance: float) -> Int[Array, " row"]:
    if squares.shape[1] == 0:
        return np.zeros(len(squares), dtype=np.int64)
    # A whole that is summed up in steps misses 1 by rounding.
    reached = np.cumsum(squares, axis=1) >= (variance - 1e-12) * squares.sum(axis=1, keepdims=True)
    return reached.argmax(axis=1) + 1
