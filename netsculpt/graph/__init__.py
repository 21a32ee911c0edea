"""The graph: which slices of which tensors form one unit, for any model that torch.export can trace."""

from netsculpt.graph.axes import Axis, Place
from netsculpt.graph.gather import Gather
from netsculpt.graph.graph import Change, Graph, Rearrangement
from netsculpt.graph.registry import rule
from netsculpt.graph.tracing import trace

__all__ = ["Axis", "Change", "Gather", "Graph", "Place", "Rearrangement", "rule", "trace"]
