"""netsculpt: prune, grow and split neural networks while they train."""

from netsculpt import edit, graph, ops
from netsculpt.build_info import build_info
from netsculpt.edit import (
    Budget,
    InsertLayer,
    Plan,
    Prune,
    RemoveLayer,
    Split,
    Widen,
    apply,
    history,
    load,
    replay,
    save,
    undo,
    uniform_pruning,
)
from netsculpt.graph import Graph, trace

__version__ = "0.1.0"
__all__ = [
    "Budget",
    "Graph",
    "InsertLayer",
    "Plan",
    "Prune",
    "RemoveLayer",
    "Split",
    "Widen",
    "__version__",
    "apply",
    "build_info",
    "edit",
    "graph",
    "history",
    "load",
    "ops",
    "replay",
    "save",
    "trace",
    "undo",
    "uniform_pruning",
]
