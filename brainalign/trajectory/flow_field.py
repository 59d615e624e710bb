"""Was a decoder learned by errors or by reward? How a flow field changes, and what each predicts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainalign.errors import BrainalignError

Array = np.ndarray
Rates = Float[Array, "trial time unit"]
Flow = Float[Array, "unit unit"]

UNDECIDED = "undecided"


def flow_field(rates: Array) -> Flow:
    r"""Fit linear dynamics :math:`h_{t+1} \approx F h_t` to trials, by least squares without a constant.

    Of least norm where activity does not fill all dimensions. Rates have the shape (trial, time, unit).

    Raises
    ------
    BrainalignError
        Rates that are not (trial, time, unit), of one time step, or not finite.

    Examples
    --------
    >>> flow = np.array([[0.9, 0.1], [-0.1, 0.9]])
    >>> rates = np.stack([np.linalg.matrix_power(flow, t) @ [1.0, 0.0] for t in range(5)])[None]
    >>> np.allclose(flow_field(rates), flow)
    True
    """
    rates = _checked(rates)
    before, after = rates[:, :-1].reshape(-1, rates.shape[2]), rates[:, 1:].reshape(-1, rates.shape[2])
    return np.linalg.lstsq(before, after, rcond=None)[0].T


def predicted_change(credit: Array, errors: Array, rates: Array) -> Flow:
    r"""Predict how learning changes the flow field, up to a factor.

    .. math:: \Delta F \propto \sum_t (M^\top \epsilon_{t+1}) h_t^\top

    Parameters
    ----------
    credit
        M, by which errors of the output are brought back to the units: what a learner by errors takes the
        decoder to be; or the decoder itself, which the mean update of a learner by reward follows.
        Shape (output, unit).
    errors
        ε, what each output should have been more, at each time, shape (trial, time, output).
    rates
        h, before learning, shape (trial, time, unit).

    Raises
    ------
    BrainalignError
        Shapes that do not agree, or values that are not finite.
    """
    rates = _checked(rates)
    if errors.shape[:2] != rates.shape[:2] or credit.shape != (errors.shape[-1], rates.shape[2]):
        raise BrainalignError(
            f"Rates {rates.shape}, errors {errors.shape} and a credit matrix {credit.shape} do not fit; give "
            "(trial, time, unit), (trial, time, output) and (output, unit)."
        )
    return credit.T @ np.einsum("nto,ntu->ou", errors[:, 1:], rates[:, :-1])


def flow_correlation(change: Flow, other: Flow, rates: Rates) -> float:
    r"""Correlate two changes of a flow field: the mean of :math:`\cos(\Delta F h, \Delta F' h)` over states.

    Examples
    --------
    >>> rates = np.random.default_rng(0).normal(size=(2, 10, 3))
    >>> round(flow_correlation(np.eye(3), -2 * np.eye(3), rates), 9)
    -1.0
    """
    states = _checked(rates).reshape(-1, rates.shape[-1])
    one, two = states @ change.T, states @ other.T
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    moves = norms > 0
    return float(((one * two).sum(1)[moves] / norms[moves]).mean()) if moves.any() else float("nan")


@dataclass(frozen=True)
class FlowFieldTest:
    """What the change of a flow field says of the rule that made it.

    Parameters
    ----------
    supervised, reinforcement
        Correlation of the observed change with what learning by errors, and by reward, predicts.
    low, high
        95 % interval of their difference, over resampled trials.
    alike
        Correlation of both predictions with each other. At 1 no data can tell the rules apart.
    """

    supervised: float
    reinforcement: float
    low: float
    high: float
    alike: float

    @property
    def difference(self) -> float:
        """Above 0 for learning by errors, below for learning by reward."""
        return self.supervised - self.reinforcement

    @property
    def rule(self) -> str:
        """The rule that the change speaks for, or ``undecided`` where the interval holds 0."""
        if self.low <= 0 <= self.high:
            return UNDECIDED
        return "supervised" if self.difference > 0 else "reinforcement"


def flow_field_test(
    before: Array,
    after: Array,
    errors: Array,
    decoder: Array,
    credit: Array,
    rng: np.random.Generator,
    draws: int = 100,
) -> FlowFieldTest:
    r"""Hold the change of a flow field against supervised learning by an internal model, and reinforcement.

    .. math::
        \Delta F = F_{after} - F_{before}, \qquad
        \Delta F_{SL} \propto \sum_t (M^\top \epsilon_t) h_{t-1}^\top, \qquad
        \Delta F_{RL} \propto \sum_t (D^\top \epsilon_t) h_{t-1}^\top

    A learner by errors needs a model M of the decoder. Where that is imperfect, such as the decoder that was
    in use before, its updates are biased towards M. A learner by reward needs none; its updates are noisy but
    follow the true decoder D on average. The rule whose prediction correlates better with what is observed is
    told; where M = D both predictions are the same, the difference is 0, and none is told (the control).

    Parameters
    ----------
    before, after
        Rates under the decoder that is learned, before and after learning, shape (trial, time, unit).
    errors
        Of the trials before learning, shape (trial, time, output).
    decoder
        D, shape (output, unit).
    credit
        M, what a learner by errors would take the decoder to be.
    rng
        Draws trials for the interval.
    draws
        Resamples of trials, before and after apart.

    Raises
    ------
    BrainalignError
        Shapes that do not agree, or values that are not finite.

    Notes
    -----
    Portes, Schmid & Murray (2022), NeurIPS 35 (arXiv:2206.13448); the fit of F and the mean over states are as
    in the code published with it (github.com/jacobfulano/learning-rules-with-bmi, ``utils/metric.py``). Two
    things differ: an error is paired with the state one step before, from which the dynamics led to it; and the
    verdict is by an interval over trials, where they compare distributions over networks.
    """
    supervised, reinforcement = _correlations(before, after, errors, decoder, credit)
    differences = []
    for _ in range(draws):
        first, second = (rng.integers(len(each), size=len(each)) for each in (before, after))
        drawn = _correlations(before[first], after[second], errors[first], decoder, credit)
        differences.append(drawn[0] - drawn[1])
    low, high = np.percentile(differences, [2.5, 97.5])
    alike = flow_correlation(
        predicted_change(credit, errors, before), predicted_change(decoder, errors, before), before
    )
    return FlowFieldTest(supervised, reinforcement, float(low), float(high), alike)


def _correlations(
    before: Array, after: Array, errors: Array, decoder: Array, credit: Array
) -> tuple[float, float]:
    observed = flow_field(after) - flow_field(before)
    supervised, reinforcement = (
        flow_correlation(predicted_change(each, errors, before), observed, before) for each in (credit, decoder)
    )
    return supervised, reinforcement


def _checked(rates: Array) -> Rates:
    rates = np.asarray(rates, np.float64)
    if rates.ndim != 3 or rates.shape[1] < 2:
        raise BrainalignError(
            f"A flow field was asked for of rates of shape {rates.shape}; give (trial, time, unit) with two "
            "time steps or more."
        )
    if not np.isfinite(rates).all():
        raise BrainalignError("A flow field was asked for of NaN or infinite rates; cut trials to full ones.")
    return rates
