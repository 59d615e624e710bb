"""Metrics: kernels on arrays with declared facts, one family a file."""

from brainalign.metrics.catalogue import METRICS, find_metric
from brainalign.metrics.metric import Metric

__all__ = ["METRICS", "Metric", "find_metric"]
