"""Greedy pruning: which units a network can do without, and how the layers behind make up for them."""

from netsculpt.methods.pruning.curves import Curve, curve
from netsculpt.methods.pruning.globally import global_curve
from netsculpt.methods.pruning.plan import prune
from netsculpt.methods.pruning.tolerance import Tolerance

__all__ = ["Curve", "Tolerance", "curve", "global_curve", "prune"]
