"""Alignment by stimulus id, splits, scoring, resampling and statistics."""

from brainalign.compare.ceiling_test import ceiling_test
from brainalign.compare.decode import decode
from brainalign.compare.evaluate import Evaluation, evaluate, score
from brainalign.compare.partition import partition_variance
from brainalign.compare.permutation import permutation_test
from brainalign.compare.scores import load_scores, save_scores
from brainalign.compare.searchlight import searchlight
from brainalign.compare.unit_groups import sphere_groups

__all__ = [
    "Evaluation",
    "ceiling_test",
    "decode",
    "evaluate",
    "load_scores",
    "partition_variance",
    "permutation_test",
    "save_scores",
    "score",
    "searchlight",
    "sphere_groups",
]
