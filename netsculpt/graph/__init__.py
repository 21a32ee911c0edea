"""Which slices of which tensors form one unit."""
