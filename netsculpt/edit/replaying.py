"""A history made again on a fresh model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from netsculpt.edit.applying import finish, make, require_same, traced_anew
from netsculpt.edit.drafts import Draft
from netsculpt.edit.edits import InsertLayer, RemoveLayer, Widen, from_data
from netsculpt.edit.history import History, history, undo
from netsculpt.edit.transaction import Transaction
from netsculpt.errors import EditError
from netsculpt.graph import Change, Graph


def replay(steps: History | Sequence[Mapping[str, Any]], model: nn.Module, graph: Graph) -> None:
    """Make the edits of a history again on a fresh model, keeping its own weights where units stay.

    Units that were new get fresh weights, and neither offsets of copies nor assigned values are repeated: a history
    records structure. A state dict of the first model then fits the fresh one.

    Args:
        steps: a history, or its ``records``.
        model: as the first model was before the edits, in sizes.
        graph: its graph, which follows.

    Raises:
        EditError: the model is not like the first one was, or a layer was inserted that is no data; steps that were
            made before are then taken back.
        GraphError: an axis is not there or frozen.
    """
    mark = len(history(model))
    try:
        for record in steps.records if isinstance(steps, History) else steps:
            _repeat(record, model, graph)
    except BaseException:
        if len(history(model)) > mark:
            undo(model, to=mark)
        raise


def _repeat(record: Mapping[str, Any], model: nn.Module, graph: Graph) -> None:
    require_same(graph, model)
    drafts = {name: _draft(graph, name, each) for name, each in record["axes"].items()}
    layers = [_layer(data) for data in record["layers"]]
    with Transaction(model) as transaction:
        step = make(transaction, graph, drafts, layers, _assigned(record, graph))
        new = traced_anew(graph, transaction.model, step)
    finish(transaction, graph, drafts, step, new)


def _draft(graph: Graph, name: str, data: Mapping[str, Any]) -> Draft:
    axis = graph[name]
    if axis.size != data["size"]:
        raise EditError(f"the model is not like the first: {name} has {axis.size} units, not {data['size']}")
    units = torch.tensor(data["units"], dtype=torch.int64)
    weights = torch.ones(len(units), dtype=torch.float64)
    if data["weights"] is not None:
        weights = torch.tensor(data["weights"], dtype=torch.float64)
    result = Draft(axis, Change(units, weights))
    fresh = (units < 0).nonzero()[:, 0]
    if len(fresh):
        result.fresh.append((Widen(name, len(fresh)), fresh))
    return result


def _assigned(record: Mapping[str, Any], graph: Graph) -> list[str]:
    return [name for name in record.get("assigned", ()) if name in graph.tensors]


def _layer(data: Mapping[str, Any]) -> InsertLayer | RemoveLayer:
    if "refused" in data:
        raise EditError(f"the history cannot be replayed: {data['refused']}")
    edit = from_data(data)
    assert isinstance(edit, (InsertLayer, RemoveLayer))
    return edit
