"""What happens over learning: stages of curves, how weights move, and the paths representations take."""

from brainalign.trajectory.behaviour import count_back, learning_curves
from brainalign.trajectory.change_points import change_points
from brainalign.trajectory.curves import choose, score_curves, training_curves
from brainalign.trajectory.deep_linear import half_times, mode_curves, transition_widths
from brainalign.trajectory.differentiation import differentiation, which_first
from brainalign.trajectory.dissociation import dissociation
from brainalign.trajectory.embedding import in_plane
from brainalign.trajectory.find_stages import find_stages, stage_table
from brainalign.trajectory.gradient_motion import moves_along_gradient
from brainalign.trajectory.half_ceilings import HalfCeilings, half_ceilings
from brainalign.trajectory.imposed_cost import imposes_cost
from brainalign.trajectory.linear_modes import balanced_network, mode_maps, mode_strengths, task_modes
from brainalign.trajectory.mode_departures import departures, own_tau
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
    "balanced_network",
    "change_points",
    "choose",
    "cost_effects",
    "costs_told_apart",
    "count_back",
    "departures",
    "differentiation",
    "dissociation",
    "distances_to_regions",
    "find_stages",
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
    "representational_paths",
    "returns_after_push",
    "rise_times",
    "rules_apart",
    "score_changes",
    "score_curves",
    "stage_table",
    "steps_towards",
    "task_modes",
    "training_curves",
    "transition_widths",
    "which_first",
]
