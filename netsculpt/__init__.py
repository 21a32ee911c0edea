"""netsculpt: prune, grow and split neural networks while they train."""

from netsculpt import graph, ops
from netsculpt.build_info import build_info
from netsculpt.graph import Graph, trace

__version__ = "0.1.0"
__all__ = ["Graph", "__version__", "build_info", "graph", "ops", "trace"]
