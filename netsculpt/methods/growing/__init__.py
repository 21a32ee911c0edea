"""Growing: what to add to a network, and where."""
