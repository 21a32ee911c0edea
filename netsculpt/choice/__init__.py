"""The choice of units within budgets, which splitting, growing and pruning share."""

from netsculpt.choice.choosing import Solver, choose
from netsculpt.choice.latency import LatencyTable, measured_latency
from netsculpt.choice.limits import Limits
from netsculpt.choice.options import Choice, Option

__all__ = ["Choice", "LatencyTable", "Limits", "Option", "Solver", "choose", "measured_latency"]
