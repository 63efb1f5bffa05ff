"""Reading and ingesting images beside others: ``python -m benchmarks.data``."""
