"""Benchmarks: one file per op, each with its cases; `python -m bench` runs them and prints one table."""
