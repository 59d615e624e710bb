"""Error consistency: whether two decision makers err on the same stimuli, beyond what their accuracies say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
from jaxtyping import Float

from brainalign.errors import ResponsesError

Array = np.ndarray

NAN = float("nan")
COLUMNS = ("subject", "stimulus", "choice", "truth")
HUMAN, MODEL = "human-human", "model-human"
ROUNDING = 1e-12
"""An expected consistency this close to 1 is 1: both are always right, or both always wrong."""


@dataclass(frozen=True)
class ErrorConsistency:
    """How consistent the errors of pairs of decision makers are.

    Parameters
    ----------
    pairs
        A row a pair: ``one, other, kind, n_stimuli, accuracy, other_accuracy, observed, expected, kappa,
        low, high, lowest, highest, note``. ``kind`` is human-human or model-human; `low` and `high` are the
        95 % interval over stimuli; `lowest` and `highest` are the bounds of κ at these two accuracies;
        `note` says why a value is NaN.
    means
        A row a kind and, of model-human pairs, a model: ``kind, model, n_pairs, kappa, low, high``, the mean
        κ over the pairs in which it is defined. That of human-human is the ceiling for models.
    """

    pairs: pd.DataFrame
    means: pd.DataFrame

    def matrix(self) -> pd.DataFrame:
        """Give κ of every pair as a symmetric matrix: 1 with oneself, NaN where undefined or not compared."""
        names = list(dict.fromkeys([*self.pairs["one"], *self.pairs["other"]]))
        found = pd.DataFrame(np.where(np.eye(len(names)), 1.0, np.nan), index=names, columns=names)
        for one, other, kappa in self.pairs[["one", "other", "kappa"]].itertuples(index=False):
            found.loc[one, other] = found.loc[other, one] = kappa
        return found


def cohens_kappa(
    observed: Float[Array, "*any"], accuracy: Float[Array, "*any"], other_accuracy: Float[Array, "*any"]
) -> tuple[Float[Array, "*any"], Float[Array, "*any"]]:
    r"""Cohen's κ of two decision makers' errors, and the consistency expected of independent ones.

    .. math:: \kappa = \frac{c_{obs} - c_{exp}}{1 - c_{exp}}, \quad c_{exp} = p_1 p_2 + (1 - p_1)(1 - p_2),

    with c_obs the share of stimuli on which both are right or both are wrong. NaN where c_exp is 1: nothing is
    left to be consistent in when both are always right, or both always wrong.

    References
    ----------
    Cohen (1960), Educ. Psychol. Meas. 20; Geirhos, Meding & Wichmann (2020), NeurIPS, eq. 1 to 3.
    """
    expected = accuracy * other_accuracy + (1 - accuracy) * (1 - other_accuracy)
    defined = expected < 1 - ROUNDING
    kappa = np.divide(observed - expected, 1 - expected, out=np.full(expected.shape, np.nan), where=defined)
    return kappa, expected


def kappa_bounds(
    accuracy: Float[Array, "*any"], other_accuracy: Float[Array, "*any"]
) -> tuple[Float[Array, "*any"], Float[Array, "*any"]]:
    """Lowest and highest κ that two accuracies allow.

    Errors overlap as little or as much as they can: |p₁ + p₂ − 1| ≤ c_obs ≤ 1 − |p₁ − p₂| (Geirhos, Meding &
    Wichmann 2020, appendix).

    Examples
    --------
    >>> [float(bound[0]) for bound in kappa_bounds(np.array([0.5]), np.array([0.5]))]
    [-1.0, 1.0]
    """
    lowest, _ = cohens_kappa(np.abs(accuracy + other_accuracy - 1), accuracy, other_accuracy)
    highest, _ = cohens_kappa(1 - np.abs(accuracy - other_accuracy), accuracy, other_accuracy)
    return lowest, highest


def error_consistency(
    choices: pd.DataFrame,
    models: Mapping[str, Mapping[str, object]] | None = None,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> ErrorConsistency:
    """Compare the errors of every two subjects, and of every model with every subject, stimulus by stimulus.

    Each pair over the stimuli that both decided. Intervals are κ ± t·SE from bootstrap samples of the
    stimuli; subjects are taken as they are. Memory and time: resamples × pairs × stimuli.

    Parameters
    ----------
    choices
        One row a decision: ``subject, stimulus, choice, truth``, where truth is the right choice.
    models
        For each model its choice for each stimulus id.
    n_resamples
        Bootstrap samples.
    seed
        Seed of the bootstrap.

    Raises
    ------
    ResponsesError
        Columns that are missing, cells that are empty, two decisions of a subject on one stimulus, a stimulus
        with two truths, a model with a subject's name, or one that decided none of the stimuli.

    References
    ----------
    Geirhos, Meding & Wichmann (2020), Beyond accuracy: quantifying trial-by-trial behaviour of CNNs and
    humans by measuring error consistency, NeurIPS 33.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     [(who, f"s{i}", "cat" if i < right else "dog", "cat") for who, right in [("a", 6), ("b", 5)]
    ...      for i in range(8)], columns=["subject", "stimulus", "choice", "truth"])
    >>> error_consistency(table).pairs[["observed", "expected", "kappa"]].round(3).values.tolist()
    [[0.875, 0.562, 0.714]]
    """
    if n_resamples < 2:
        raise ResponsesError(f"{n_resamples} bootstrap samples give no interval; ask for 1000 or so.")
    right = right_or_wrong(choices, models or {})
    names = [str(name) for name in right.index]
    n_subjects = len(names) - len(models or {})
    of_subjects = [(i, j, HUMAN) for i in range(n_subjects) for j in range(i + 1, n_subjects)]
    of_models = [(i, j, MODEL) for i in range(n_subjects, len(names)) for j in range(n_subjects)]
    pairs = [*of_subjects, *of_models]
    if not pairs:
        raise ResponsesError(f"Only {names[0]!r} decided; consistency takes two subjects, or a model.")
    n = right.shape[1]
    generator = np.random.default_rng(seed)
    weights = np.vstack([np.ones(n), generator.multinomial(n, np.full(n, 1 / n), n_resamples)])
    rows, kappas = [], np.empty((len(weights), len(pairs)))
    for place, (i, j, kind) in enumerate(pairs):
        row, kappas[:, place] = _compare(right.to_numpy()[i], right.to_numpy()[j], weights)
        rows.append({"one": names[i], "other": names[j], "kind": kind} | row)
    table = pd.DataFrame(rows)
    return ErrorConsistency(table, _means(table, kappas, n))


def right_or_wrong(
    choices: pd.DataFrame, models: Mapping[str, Mapping[str, object]] | None = None
) -> pd.DataFrame:
    """Say what each subject, then each model, decided right (1), wrong (0) or not at all (NaN), by stimulus.

    Raises
    ------
    ResponsesError
        As `error_consistency` does.
    """
    table = decisions(choices)
    truths = dict(zip(table["stimulus"], table["truth"], strict=True))
    subjects, stimuli = sorted(set(table["subject"])), sorted(truths)
    place = {stimulus: column for column, stimulus in enumerate(stimuli)}
    found = {subject: np.full(len(stimuli), np.nan) for subject in subjects}
    for subject, stimulus, choice, truth in table.itertuples(index=False):
        if np.isfinite(found[subject][place[stimulus]]):
            raise ResponsesError(
                f"Subject {subject!r} decided on stimulus {stimulus!r} more than once; error consistency "
                "compares single decisions, so keep one of each (the first, say)."
            )
        found[subject][place[stimulus]] = float(choice == truth)
    for name, decided in (models or {}).items():
        if name in found:
            raise ResponsesError(f"A model and a subject are both named {name!r}; rename one.")
        if not any(stimulus in decided for stimulus in stimuli):
            raise ResponsesError(
                f"Model {name!r} decided none of the {len(stimuli)} stimuli, such as {stimuli[0]!r}; name its "
                "choices by the same ids."
            )
        found[name] = np.array([float(decided[i] == truths[i]) if i in decided else np.nan for i in stimuli])
    return pd.DataFrame.from_dict(found, orient="index", columns=stimuli)


def decisions(choices: pd.DataFrame) -> pd.DataFrame:
    """Give the columns of a table of choices that matter, or say what is amiss with them."""
    missing = [column for column in COLUMNS if column not in choices]
    if missing:
        raise ResponsesError(
            f"The table of choices has no column {missing[0]!r}; it needs {', '.join(COLUMNS)}, one row a "
            "decision."
        )
    table = pd.DataFrame({column: choices[column].to_numpy() for column in COLUMNS})
    if not len(table) or bool(table.isna().to_numpy().any()):
        raise ResponsesError(
            "The table of choices is empty, or has empty cells; leave out trials without a choice."
        )
    truths = dict(zip(table["stimulus"], table["truth"], strict=True))
    for stimulus, truth in zip(table["stimulus"], table["truth"], strict=True):
        if truths[stimulus] != truth:
            raise ResponsesError(f"Stimulus {stimulus!r} has more than one truth; give it one.")
    return table


def _compare(
    one: Float[Array, " stimulus"], other: Float[Array, " stimulus"], weights: Float[Array, "value stimulus"]
) -> tuple[dict[str, Any], Float[Array, " value"]]:
    """Compare two decision makers on the stimuli that both decided; give κ in each bootstrap sample too."""
    both = np.isfinite(one) & np.isfinite(other)
    n = int(both.sum())
    row: dict[str, Any] = {"n_stimuli": n}
    if not n:
        names = (
            "accuracy",
            "other_accuracy",
            "observed",
            "expected",
            "kappa",
            "low",
            "high",
            "lowest",
            "highest",
        )
        empty = np.full(len(weights), np.nan)
        return row | dict.fromkeys(names, NAN) | {"note": "no stimulus in common"}, empty
    values = np.stack([one[both], other[both], one[both] == other[both]])
    drawn = weights[:, both]
    total = drawn.sum(axis=1)
    shares = np.divide(values @ drawn.T, total, out=np.full((3, len(drawn)), np.nan), where=total > 0)
    kappa, expected = cohens_kappa(shares[2], shares[0], shares[1])
    lowest, highest = kappa_bounds(shares[0, :1], shares[1, :1])
    low, high = _interval(kappa, n)
    row |= {"accuracy": float(shares[0, 0]), "other_accuracy": float(shares[1, 0])}
    row |= {"observed": float(shares[2, 0]), "expected": float(expected[0]), "kappa": float(kappa[0])}
    row |= {"low": low, "high": high, "lowest": float(lowest[0]), "highest": float(highest[0]), "note": ""}
    if np.isnan(kappa[0]):
        row["note"] = f"κ is undefined: both are always {'right' if shares[0, 0] > 0.5 else 'wrong'}"
    return row, kappa


def _means(pairs: pd.DataFrame, kappas: Float[Array, "value pair"], n_stimuli: int) -> pd.DataFrame:
    """Mean κ over the pairs of subjects, and over those of each model, in which it is defined."""
    rows = []
    model = pairs["one"].where(pairs["kind"] == MODEL, "")
    for kind, name in dict.fromkeys(zip(pairs["kind"], model, strict=True)):
        own = kappas[:, ((pairs["kind"] == kind) & (model == name)).to_numpy() & np.isfinite(kappas[0])]
        known = np.isfinite(own)
        count = known.sum(axis=1)
        mean = np.divide(
            np.where(known, own, 0).sum(axis=1), count, out=np.full(len(own), np.nan), where=count > 0
        )
        low, high = _interval(mean, n_stimuli)
        rows.append({"kind": kind, "model": name, "n_pairs": own.shape[1], "kappa": float(mean[0])})
        rows[-1] |= {"low": low, "high": high}
    return pd.DataFrame(rows)


def _interval(values: Float[Array, " value"], n: int, level: float = 0.95) -> tuple[float, float]:
    """Give value ± t·SE within −1 to 1: the observed value comes first, then its bootstrap replicates."""
    replicates = values[1:][np.isfinite(values[1:])]
    if np.isnan(values[0]) or len(replicates) < 2 or n < 2:
        return NAN, NAN
    half = scipy.stats.t.ppf(0.5 + level / 2, n - 1) * np.sqrt(n / (n - 1) * replicates.var(ddof=1))
    return max(float(values[0] - half), -1.0), min(float(values[0] + half), 1.0)
