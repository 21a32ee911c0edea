"""netsculpt: prune, grow and split neural networks while they train."""

from netsculpt import choice, continual, edit, graph, measure, methods, ops, train
from netsculpt.build_info import build_info
from netsculpt.choice import Limits
from netsculpt.edit import (
    Assign,
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
from netsculpt.methods import Tolerance, Tuning, grow, natural_gains, prune, prune_by, split
from netsculpt.train import GrowSchedule, Sculptor, recalibrate

__version__ = "0.1.0"
__all__ = [
    "Assign",
    "Budget",
    "Graph",
    "GrowSchedule",
    "InsertLayer",
    "Limits",
    "Plan",
    "Prune",
    "RemoveLayer",
    "Sculptor",
    "Split",
    "Tolerance",
    "Tuning",
    "Widen",
    "__version__",
    "apply",
    "build_info",
    "choice",
    "continual",
    "edit",
    "graph",
    "grow",
    "history",
    "load",
    "measure",
    "methods",
    "natural_gains",
    "ops",
    "prune",
    "prune_by",
    "recalibrate",
    "replay",
    "save",
    "split",
    "trace",
    "train",
    "undo",
    "uniform_pruning",
]
