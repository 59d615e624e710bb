"""What happens over learning: stages of curves, how weights move, and the paths representations take."""

from brainalign.trajectory.bci_learning import repertoire_change, subspace_overlap, tuning_change
from brainalign.trajectory.behaviour import count_back, learning_curves
from brainalign.trajectory.change_points import change_points
from brainalign.trajectory.curves import choose, score_curves, training_curves
from brainalign.trajectory.deep_linear import half_times, mode_curves, transition_widths
from brainalign.trajectory.differentiation import differentiation, which_first
from brainalign.trajectory.dissociation import dissociation
from brainalign.trajectory.embedding import in_plane
from brainalign.trajectory.find_stages import find_stages, stage_table
from brainalign.trajectory.flow_field import flow_field_test
from brainalign.trajectory.gain_fields import evoked_activity, gain_fields
from brainalign.trajectory.gradient_motion import moves_along_gradient
from brainalign.trajectory.half_ceilings import HalfCeilings, half_ceilings
from brainalign.trajectory.imposed_cost import imposes_cost
from brainalign.trajectory.linear_modes import balanced_network, mode_maps, mode_strengths, task_modes
from brainalign.trajectory.matched import at_performance, compared_at_performance, compared_at_steps
from brainalign.trajectory.mode_departures import departures, own_tau
from brainalign.trajectory.neural_engagement import engagement
from brainalign.trajectory.noisy_trials import record_trials
from brainalign.trajectory.optimum import at_optimum
from brainalign.trajectory.order import order_of, rise_times
from brainalign.trajectory.path_divergence import rules_apart
from brainalign.trajectory.path_geometry import approach, distances_to_regions, path_lengths, steps_towards
from brainalign.trajectory.paths import representational_paths
from brainalign.trajectory.push_return import returns_after_push
from brainalign.trajectory.score_changes import score_changes
from brainalign.trajectory.told_apart import cost_effects, costs_told_apart

__all__ = [
    "HalfCeilings",
    "approach",
    "at_optimum",
    "at_performance",
    "balanced_network",
    "change_points",
    "choose",
    "compared_at_performance",
    "compared_at_steps",
    "cost_effects",
    "costs_told_apart",
    "count_back",
    "departures",
    "differentiation",
    "dissociation",
    "distances_to_regions",
    "engagement",
    "evoked_activity",
    "find_stages",
    "flow_field_test",
    "gain_fields",
    "half_ceilings",
    "half_times",
    "imposes_cost",
    "in_plane",
    "learning_curves",
    "mode_curves",
    "mode_maps",
    "mode_strengths",
    "moves_along_gradient",
    "order_of",
    "own_tau",
    "path_lengths",
    "record_trials",
    "repertoire_change",
    "representational_paths",
    "returns_after_push",
    "rise_times",
    "rules_apart",
    "score_changes",
    "score_curves",
    "stage_table",
    "steps_towards",
    "subspace_overlap",
    "task_modes",
    "training_curves",
    "transition_widths",
    "tuning_change",
    "which_first",
]
