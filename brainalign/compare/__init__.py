"""Alignment by stimulus id, splits, scoring, resampling and statistics."""
