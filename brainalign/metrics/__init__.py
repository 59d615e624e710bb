"""Metrics: kernels on arrays with declared facts, one family a file."""

from brainalign.metrics.catalogue import METRICS, find_metric
from brainalign.metrics.error_consistency import error_consistency
from brainalign.metrics.image_level_consistency import image_level_consistency
from brainalign.metrics.metric import Metric

__all__ = ["METRICS", "Metric", "error_consistency", "find_metric", "image_level_consistency"]
