"""Greedy pruning: which units a network can do without, and how the layers behind make up for them."""

from netsculpt.methods.pruning.curves import Curve, curve
from netsculpt.methods.pruning.plan import prune

__all__ = ["Curve", "curve", "prune"]
