"""The graph and the edits against the clock and against torch-pruning; `python -m bench.graph` writes the tables."""
