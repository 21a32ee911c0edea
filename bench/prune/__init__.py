"""Pruning one wide layer by imitation against the clock and other ways; `python -m bench.prune` writes the tables."""
