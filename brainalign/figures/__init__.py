"""Pictures of score tables; they compute no score."""

from brainalign.figures.layer_profile import layer_profile
from brainalign.figures.learning_curves import learning_curves

__all__ = ["layer_profile", "learning_curves"]
