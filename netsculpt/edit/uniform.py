"""The simplest plan there is: a fraction of every axis, by one number per unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from netsculpt.edit.edits import Prune
from netsculpt.edit.plan import Plan
from netsculpt.errors import ArgumentError, GraphError
from netsculpt.graph import Axis, Graph
from netsculpt.graph.positions import labels

# One number per unit, the higher the more it is worth; a function of the axis, or given by axis name.
Importance: TypeAlias = Callable[[Axis], Tensor] | Mapping[str, Tensor]


def uniform_pruning(
    graph: Graph,
    pruning_ratio: float,
    importance: Importance,
    *,
    axes: Iterable[str] | None = None,
    round_to: int = 1,
) -> Plan:
    """A plan that removes the least important fraction of the units of every axis.

    Args:
        graph: of the model.
        pruning_ratio: fraction of the *units* of each axis to remove, from 0 to below 1; parameters between two pruned
            axes fall by about 1 - (1 - ratio)².
        importance: one number per unit, the higher the more it is worth: a function of an axis, such as
            ``magnitude(model, graph)``, or tensors by axis name.
        axes: names of the axes to prune; by default all that can change.
        round_to: what is left of an axis is rounded up to a multiple of this, where the axis has as many.

    Returns:
        A plan of one ``Prune`` per axis that loses a unit.

    Raises:
        ArgumentError: the ratio or ``round_to`` makes no sense, or an importance is not one finite number per unit.
        GraphError: no axis of the model can be pruned so.
    """
    if not 0 <= pruning_ratio < 1:
        raise ArgumentError(f"pruning_ratio must be a fraction of units from 0 to below 1, not {pruning_ratio!r}")
    if round_to < 1:
        raise ArgumentError(f"round_to must be a whole number above 0, not {round_to!r}")
    chosen = graph.sculptable if axes is None else [graph[name] for name in axes]
    edits = []
    for axis in chosen:
        wanted = max(1, axis.size - int(axis.size * pruning_ratio))
        kept = min(axis.size, -(-wanted // round_to) * round_to)
        if kept < axis.size:
            worth = _worth(axis, importance)
            # A stable sort: of equals the first units stay.
            edits.append(Prune(axis.name, torch.argsort(worth, descending=True, stable=True)[:kept].sort().values))
    if not edits:
        raise GraphError(f"a pruning_ratio of {pruning_ratio:g} removes no unit: {_why(graph)}")
    return Plan.of(graph, edits)


def magnitude(model: nn.Module, graph: Graph) -> Callable[[Axis], Tensor]:
    """An importance: the Euclidean norm of all weights that make a unit. The model must be the graph's, as it is."""
    tensors = dict(model.named_parameters())

    def norm(axis: Axis) -> Tensor:
        total = torch.zeros(axis.size, dtype=torch.float64)
        for name, dim in dict.fromkeys((place.tensor, place.dim) for place in axis.producers):
            weight = tensors[name].detach().double().movedim(dim, 0).flatten(1).pow(2).sum(1).cpu()
            unit = labels(graph.tensors[name][dim], axis.term.find(), {})
            total.index_add_(0, unit.clamp(min=0), torch.where(unit < 0, 0.0, weight))
        return total.sqrt()

    return norm


def _worth(axis: Axis, importance: Importance) -> Tensor:
    worth = importance[axis.name] if isinstance(importance, Mapping) else importance(axis)
    if worth.shape != (axis.size,) or not worth.isfinite().all():
        raise ArgumentError(
            f"the importance of {axis.name!r} must be {axis.size} finite numbers, not {list(worth.shape)}"
        )
    return worth.detach().cpu()


def _why(graph: Graph) -> str:
    if graph.sculptable:
        return "its axes are too small"
    reasons = list(dict.fromkeys(axis.frozen for axis in graph.axes if axis.frozen))
    return f"no axis of the model can change ({'; '.join(map(str, reasons[:3])) or 'it has no weights'})"
