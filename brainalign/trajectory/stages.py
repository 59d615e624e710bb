"""Stages of a learning curve: transitions between plateaus that no smooth course explains."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from brainalign.trajectory.clocks import CLOCKS, step_at
from brainalign.trajectory.crossed_interval import FEWEST, crossed_interval
from brainalign.trajectory.families import null_families, stages_family
from brainalign.trajectory.fits import Fit, fit

FEWEST_CHECKPOINTS = 24
MARGIN = 20.0
"""By how much the information criterion of stages must be below that of every course without."""
PENALTY = 8.0
"""What each further stage costs beyond its parameters, since its place was searched for."""
CHECKPOINTS_A_STAGE, MOST_STAGES = 8, 4
"""Stages are looked for up to one in so many checkpoints, and up to so many."""
MEASURES = ("onset", "half_time", "width", "gain")
UNITS = {"onset": "steps", "half_time": "steps", "width": "steps", "gain": "units of the curve"}
STAGES, NO_STAGE, NOT_TESTABLE = "stages", "no stage", "not testable"


def stages_of(
    curves: Float[np.ndarray, "seed subject checkpoint"],
    steps: Float[np.ndarray, " checkpoint"],
    resamples: Float[np.ndarray, "resample checkpoint"] | None = None,
) -> xr.Dataset:
    """Find the stages of curves that have passed `find_stages`' checks; see there."""
    kept = np.isfinite(curves).all((0, 1))
    if resamples is not None:
        kept &= np.isfinite(resamples).all(0)
    left_out = int((~kept).sum())
    curves, steps = curves[..., kept], steps[kept]
    if len(steps) < FEWEST_CHECKPOINTS:
        gaps = f" once {left_out} with missing values are left out" if left_out else ""
        return _nothing(
            NOT_TESTABLE,
            f"{len(steps)} checkpoints{gaps}; stages are told from smooth courses with "
            f"{FEWEST_CHECKPOINTS} or more",
            curves,
            left_out,
        )
    mean = curves.mean((0, 1))
    if np.ptp(mean) == 0:
        return _nothing(NO_STAGE, "the curve is constant", curves, left_out)
    null, ranked = best_null(mean, steps), ranked_stages(mean, steps)
    best, drawn = ranked[0], None if resamples is None else resamples[:, kept]
    facts = {"best_without": null.family.name, "n_checkpoints_left_out": left_out}
    ahead = [each for each in ranked if null.bic - _criterion(each) >= MARGIN]
    for staged in ahead:
        found = _measured(staged, curves, steps, drawn)
        if not ((found["gain_low"] <= 0) & (found["gain_high"] >= 0)).any():
            margin, n_stages = null.bic - _criterion(staged), staged.family.n_terms
            reason = f"{staged.family.name}, ahead of {null.family.name} by {margin:.1f} (BIC)"
            facts |= {"margin": margin, "clock": _clock(staged), "n_stages": n_stages}
            return found.assign_attrs(verdict=STAGES, reason=reason, **facts)
    margin = null.bic - _criterion(best)
    reason = (
        f"the seeds do not share the {best.family.name} of their mean: a gain's interval holds 0"
        if ahead
        else f"{null.family.name} explains the curve as well: {best.family.name} would have to be ahead by "
        f"{MARGIN:g} (BIC), and are by {margin:.1f}"
    )
    nothing = _nothing(NO_STAGE, reason, curves, left_out)
    return nothing.assign_attrs(margin=margin, clock=_clock(best), **facts)


def best_null(curve: Float[np.ndarray, " checkpoint"], steps: Float[np.ndarray, " checkpoint"]) -> Fit:
    """Give the likeliest course without a stage, by BIC."""
    return min((fit(each, curve) for each in null_families(steps)), key=lambda each: each.bic)


def ranked_stages(
    curve: Float[np.ndarray, " checkpoint"], steps: Float[np.ndarray, " checkpoint"]
) -> list[Fit]:
    """Give sums of stages on either clock, the likeliest first, by BIC and what each further stage costs."""
    counts = range(1, min(len(steps) // CHECKPOINTS_A_STAGE, MOST_STAGES) + 1)
    families = [stages_family(steps, kind, n_stages) for kind in CLOCKS for n_stages in counts]
    return sorted((fit(each, curve) for each in families), key=_criterion)


def _criterion(found: Fit) -> float:
    return found.bic + PENALTY * (found.family.n_terms - 1)


def _clock(found: Fit) -> str:
    return next(kind for kind in CLOCKS if found.family.name.endswith(f" in {kind}"))


def _measured(
    staged: Fit,
    curves: Float[np.ndarray, "seed subject checkpoint"],
    steps: Float[np.ndarray, " checkpoint"],
    resamples: Float[np.ndarray, "resample checkpoint"] | None,
) -> xr.Dataset:
    """Fit each seed's and subject's own curve, and give means and intervals over them."""
    each = np.array([[_times(fit(staged.family, curve, staged)) for curve in seed] for seed in curves])
    drawn = np.empty((0, *each.shape[2:]))
    if resamples is not None:
        drawn = np.array([_times(fit(staged.family, curve, staged)) for curve in resamples])
    kind, variables = _clock(staged), {}
    for measure in MEASURES:
        values, of_draws = (_measure(times, measure, kind, steps) for times in (each, drawn))
        spread = of_draws.var(0, ddof=1) if len(of_draws) > 1 else np.zeros(values.shape[2])
        ends = [crossed_interval(values[..., stage], float(spread[stage])) for stage in range(values.shape[2])]
        ends = _back(np.array(ends), measure, kind, steps)
        for name, of_stage in zip((measure, f"{measure}_low", f"{measure}_high"), ends.T, strict=True):
            variables[name] = ("stage", of_stage, {"units": UNITS[measure]})
        by_seed = _back(values.mean(1), measure, kind, steps)
        variables[f"{measure}_by_seed"] = (("seed", "stage"), by_seed, {"units": UNITS[measure]})
    return xr.Dataset(variables, attrs={"interval": _interval_in_words(curves, resamples)})


def _times(found: Fit) -> Float[np.ndarray, "stage 3"]:
    """Give onset and end on the clock, and the gain, of each stage in the order of their middles."""
    times = np.column_stack([found.shape.reshape(-1, 2), found.gains[1:]])
    return times[np.argsort(times[:, :2].sum(1), kind="stable")]


def _measure(times: Float[np.ndarray, "*each stage 3"], name: str, kind: str, steps: np.ndarray) -> np.ndarray:
    """Give a measure as its interval is symmetrical: times by the clock, widths by their logarithm."""
    onset, end, gain = np.moveaxis(times, -1, 0)
    if name == "width":
        return np.log(step_at(end, steps, kind) - step_at(onset, steps, kind))
    return {"onset": onset, "half_time": (onset + end) / 2, "gain": gain}[name]


def _back(values: np.ndarray, name: str, kind: str, steps: np.ndarray) -> np.ndarray:
    """Give a measure in its units; no time is before the first checkpoint."""
    if name in ("onset", "half_time"):
        return step_at(np.maximum(values, 0.0), steps, kind)
    return np.exp(values) if name == "width" else values


def _interval_in_words(curves: np.ndarray, resamples: np.ndarray | None) -> str:
    n_seeds, n_subjects = curves.shape[:2]
    if n_seeds < FEWEST:
        return f"none: {n_seeds} seed{'s' * (n_seeds != 1)}, {FEWEST} needed"
    subjects = f" and {n_subjects} subjects, crossed" if n_subjects > 1 else ""
    stimuli = f", and {len(resamples)} resamples of the stimuli" if resamples is not None else ""
    return f"95 % t-interval over {n_seeds} seeds{subjects}{stimuli}"


def _nothing(verdict: str, reason: str, curves: np.ndarray, left_out: int) -> xr.Dataset:
    """Give a table of no stages, and why."""
    none = {
        name: ("stage", np.empty(0), {"units": UNITS[measure]})
        for measure in MEASURES
        for name in (measure, f"{measure}_low", f"{measure}_high")
    }
    by_seed = {
        f"{measure}_by_seed": (("seed", "stage"), np.empty((len(curves), 0)), {"units": UNITS[measure]})
        for measure in MEASURES
    }
    attrs = {"verdict": verdict, "reason": reason, "n_stages": 0, "n_checkpoints_left_out": left_out}
    return xr.Dataset(none | by_seed, attrs=attrs | {"interval": "none: no stage"})
