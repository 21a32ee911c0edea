"""Edits: change a model in place, exactly and reversibly, with everything that trains it."""

from netsculpt.edit.applying import Outcome, apply
from netsculpt.edit.budget import Budget
from netsculpt.edit.distributed import rewrap
from netsculpt.edit.edits import Assign, Edit, InsertLayer, Prune, RemoveLayer, Split, Widen
from netsculpt.edit.history import History, forget, history, undo
from netsculpt.edit.plan import Plan
from netsculpt.edit.replaying import replay
from netsculpt.edit.storage import load, save
from netsculpt.edit.transaction import Transaction
from netsculpt.edit.uniform import magnitude, uniform_pruning

__all__ = [
    "Assign",
    "Budget",
    "Edit",
    "History",
    "InsertLayer",
    "Outcome",
    "Plan",
    "Prune",
    "RemoveLayer",
    "Split",
    "Transaction",
    "Widen",
    "apply",
    "forget",
    "history",
    "load",
    "magnitude",
    "replay",
    "rewrap",
    "save",
    "undo",
    "uniform_pruning",
]
