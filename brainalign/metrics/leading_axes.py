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
        :math:`u_{ia} u_{ib}\, s_b^2 / (s_a^2 - s_b^2)` (perturbation of eigenvectors, in axes of length 1; see
        `turning_rates` for axes that are about as long), and the correlation of direction :math:`h_k` with its
        partner :math:`h'_k` changes by that times :math:`\langle h_k, u_a \rangle \langle h'_k, u_b \rangle`.
        One axis of noise in place of another leaves correlations where they were, so the whole counts by the
        root of the share of its squares that unrelated data would not have, whose mean
        :math:`\langle h'_k, u_b \rangle^2` is :math:`(1 - \rho_k^2) / (n - 1 - p)` with p axes kept. (By that
        share of each axis apart, noise is left where its squares lie above their mean by chance.) How PWCCA's
        weights change by these turns is left out.

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
        rates = turning_rates(self.squares[:count], self.squares[count:], n)
        held = kept.T @ directions * weights
        turns = rates * (held @ (left_out.T @ partners).T)
        of_noise = held**2 @ np.maximum(1 - correlations**2, 0) / (n - 1 - count)
        found, noise = np.sum(turns**2), np.sum(rates**2, axis=1) @ of_noise
        turns *= np.sqrt(max(found - noise, 0) / found) if found > 0 else 0
        return np.einsum("ib,ib->i", kept @ turns, left_out)


def turning_rates(
    kept: Float[Array, " k"], left_out: Float[Array, " l"], n_stimuli: int
) -> Float[Array, "k l"]:
    r"""Give :math:`s_b^2 / (s_a^2 - s_b^2)` for each pair of squares, and less where it is not well known.

    Where squares are close, axes turn by more than a derivative can say, and which is the longer is not known.
    So for the inverse of a gap d stands :math:`d/(d^2 + e^2)`, with
    :math:`e^2 = (2 s_a^4 + 2 s_b^4 + s_a^2 s_b^2) / n` the variance in Gaussian data of the gap, and of the
    product of both axes' scores that turns one to the other; 0 for equal squares. Among many axes of about one
    length none turns by more than itself: where the variances of an axis's turns to all others sum to T, a
    share :math:`1/(1 + T)` of them is left, for the axis kept and for the one left out. (Without that,
    intervals of halves of real V4 in 50 % of the variance, 97 axes of a layer, were 1.3 times too wide.)

    Examples
    --------
    >>> turning_rates(np.array([2.0]), np.array([2.0, 1.0]), 1000).round(3)
    array([[0.   , 0.986]])
    """
    gaps = np.subtract.outer(kept, left_out)
    products = np.multiply.outer(kept, left_out)
    variances = (2 * np.add.outer(kept**2, left_out**2) + products) / n_stimuli
    inverse_gaps = ratio(gaps, gaps**2 + variances)
    turned = products * inverse_gaps**2 / n_stimuli
    whole = (1 + turned.sum(axis=1, keepdims=True)) * (1 + turned.sum(axis=0))
    return left_out * inverse_gaps / np.sqrt(whole)


def _leading(squares: Float[Array, "row axis"], variance: float) -> Int[Array, " row"]:
    if squares.shape[1] == 0:
        return np.zeros(len(squares), dtype=np.int64)
    # A whole that is summed up in steps misses 1 by rounding.
    reached = np.cumsum(squares, axis=1) >= (variance - 1e-12) * squares.sum(axis=1, keepdims=True)
    return reached.argmax(axis=1) + 1
