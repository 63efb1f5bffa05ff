"""Drift reports over the same Parquet files; each runs alone, in an environment of its own.

The argument of each is a folder with ``reference.parquet`` and ``hours/*.parquet``, float32 columns
only. Each prints one line of JSON: CPU seconds until its imports are done, and what it found.
"""
