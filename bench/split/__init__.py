"""Ways to the lowest eigenpairs of splitting matrices, and a growth step; `python -m bench.split` writes tables."""
