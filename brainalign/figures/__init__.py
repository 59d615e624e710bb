"""Pictures of score tables; they compute no score."""

from brainalign.figures.layer_profile import layer_profile

__all__ = ["layer_profile"]
