"""Whole experiments: planned, done on one machine or many, and gone on with after any interruption."""

from brainalign.sweep.clusters import Where
from brainalign.sweep.estimate import Estimate, estimate_experiment
from brainalign.sweep.experiment import Experiment
from brainalign.sweep.plan import Plan, make_plan
from brainalign.sweep.reading import ExperimentError, read_experiment
from brainalign.sweep.run import Outcome, run_experiment

__all__ = [
    "Estimate",
    "Experiment",
    "ExperimentError",
    "Outcome",
    "Plan",
    "Where",
    "estimate_experiment",
    "make_plan",
    "read_experiment",
    "run_experiment",
]
