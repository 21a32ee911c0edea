"""Initial values of new units: statistics and solution apart, beside gromo and beside a forward and backward pass."""
