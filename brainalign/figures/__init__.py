"""Pictures of score tables; they compute no score."""

from brainalign.figures.jpc_planes import jpc_planes
from brainalign.figures.layer_profile import layer_profile
from brainalign.figures.learning_curves import learning_curves
from brainalign.figures.matched_rules import matched_rules
from brainalign.figures.paths import path_plane
from brainalign.figures.stage_chart import stage_chart

__all__ = ["jpc_planes", "layer_profile", "learning_curves", "matched_rules", "path_plane", "stage_chart"]
