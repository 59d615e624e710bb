"""Alignment by stimulus id, splits, scoring, resampling and statistics."""

from brainalign.compare.evaluate import Evaluation, evaluate, score
from brainalign.compare.scores import load_scores, save_scores

__all__ = ["Evaluation", "evaluate", "load_scores", "save_scores", "score"]
