"""Metrics: kernels on arrays with declared facts, one family a file."""
