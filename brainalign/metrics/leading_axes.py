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
        the correlation of direction k with its partner changes by that times
        :math:`\langle h_k, u_a \rangle \langle h'_k, u_b \rangle`. Where the squares :math:`s^2` are close,
        axes turn by more than a derivative can say. So of the gap d between them
        :math:`d / (d^2 + e^2)` is taken for the inverse, with
        :math:`e^2 = (s_a^2 s_b^2 + 2 s_a^4 + 2 s_b^4) / n`, the variance that the turn's numerator and the gap
        have in Gaussian data. An axis left out counts by the share of its squared correlations that unrelated
        data would not have, for one axis of noise in place of another leaves the correlations where they were.

        Parameters
        ----------
        count
            How many axes lead.
        directions, partners
            Canonical directions in the span of these axes, and the other side's.
        correlations, weights
            Of each pair of them, and in the sum.
        """
        n = len(self.axes)
        kept, left_out = self.axes[:, :count], self.axes[:, count:]
        squares, others = self.squares[:count, None], self.squares[count:]
        gaps = squares - others
        variances = (squares * others + 2 * squares**2 + 2 * others**2) / n
        turns = ratio(gaps * others, gaps**2 + variances)
        outside = left_out.T @ partners
        found = np.sum(outside**2, axis=1, keepdims=True)
        noise = np.sum(1 - correlations**2) / (n - 1 - count)
        outside *= np.sqrt(1 - noise / np.maximum(found, noise))
        changes = turns * ((kept.T @ directions * weights) @ outside.T)
        return np.einsum("ib,ib->i", kept @ changes, left_out)


def _leading(squares: Float[Array, "row axis"], variance: float) -> Int[Array, " row"]:
    if squares.shape[1] == 0:
        return np.zeros(len(squares), dtype=np.int64)
    # A whole that is summed up in steps misses 1 by rounding.
    reached = np.cumsum(squares, axis=1) >= (variance - 1e-12) * squares.sum(axis=1, keepdims=True)
    return reached.argmax(axis=1) + 1
