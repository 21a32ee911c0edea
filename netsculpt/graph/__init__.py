"""The graph: which slices of which tensors form one unit, for any model that torch.export can trace."""

from netsculpt.graph.axes import Axis, Place
from netsculpt.graph.call import Call
from netsculpt.graph.costs import Cost
from netsculpt.graph.facts import Role, Value
from netsculpt.graph.gather import Gather
from netsculpt.graph.graph import Change, Graph, Rearrangement
from netsculpt.graph.positions import IndexMap
from netsculpt.graph.registry import rule
from netsculpt.graph.tracing import trace
from netsculpt.graph.verify import Proof

__all__ = [
    "Axis",
    "Call",
    "Change",
    "Cost",
    "Gather",
    "Graph",
    "IndexMap",
    "Place",
    "Proof",
    "Rearrangement",
    "Role",
    "Value",
    "rule",
    "trace",
]
