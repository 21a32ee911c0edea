"""The simplest plan there is: a fraction of every axis, by one number per unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from netsculpt.arguments import require_count
from netsculpt.edit.budget import Budget
from netsculpt.edit.edits import Prune
from netsculpt.edit.plan import Plan
from netsculpt.errors import ArgumentError, BudgetError, GraphError
from netsculpt.graph import Axis, Graph
from netsculpt.graph.positions import labels

# One number per unit, the higher the more it is worth; a function of the axis, or given by axis name.
Importance: TypeAlias = Callable[[Axis], Tensor] | Mapping[str, Tensor]

ROUNDING = 1e-9  # 100 units times 0.29 are 28.999999999999996


def uniform_pruning(
    graph: Graph,
    importance: Importance,
    *,
    pruning_ratio: float | None = None,
    budget: Budget | None = None,
    axes: Iterable[str] | None = None,
    round_to: int = 1,
) -> Plan:
    """A plan that removes the least important fraction of the units of every axis.

    Args:
        graph: of the model.
        importance: one number per unit, the higher the more it is worth: a function of an axis, such as
            ``magnitude(model, graph)``, or tensors by axis name.
        pruning_ratio: fraction of the *units* of each axis to remove, from 0 to below 1; parameters between two pruned
            axes fall by about 1 - (1 - ratio)².
        budget: in the place of a ratio: the smallest ratio, to a thousandth, that keeps it.
        axes: names of the axes to prune; by default all that can change.
        round_to: what is left of an axis is rounded up to a multiple of this, where the axis has as many.

    Returns:
        A plan of one ``Prune`` per axis that loses a unit.

    Raises:
        ArgumentError: the ratio or ``round_to`` makes no sense, or an importance is not one finite number per unit.
        BudgetError: even the largest ratio does not keep the budget.
        GraphError: no axis of the model can be pruned so.
    """
    if (pruning_ratio is None) == (budget is None):
        raise ArgumentError("uniform_pruning needs either a pruning_ratio or a budget")
    require_count("round_to", round_to)
    chosen = graph.sculptable if axes is None else tuple(graph[name] for name in graph.names(axes))
    ratio = _ratio_within(graph, budget, chosen, round_to) if budget is not None else pruning_ratio
    if ratio is None or not 0 <= ratio < 1:
        raise ArgumentError(f"pruning_ratio must be a fraction of units from 0 to below 1, not {ratio!r}")
    sizes = _sizes(chosen, ratio, round_to)
    edits = []
    for axis in chosen:
        if sizes[axis.name] < axis.size:
            # A stable sort: of equals the first units stay.
            order = torch.argsort(_worth(axis, importance), descending=True, stable=True)
            edits.append(Prune(axis.name, order[: sizes[axis.name]].sort().values))
    if not edits:
        raise GraphError(f"a pruning_ratio of {ratio:g} removes no unit: {_why(graph)}")
    return Plan.of(graph, edits)


def _sizes(axes: Iterable[Axis], ratio: float, round_to: int) -> dict[str, int]:
    """Units that stay of every axis."""
    wanted = {axis.name: (axis.size, max(1, axis.size - int(axis.size * ratio + ROUNDING))) for axis in axes}
    return {name: min(size, -(-kept // round_to) * round_to) for name, (size, kept) in wanted.items()}


def _ratio_within(graph: Graph, budget: Budget, axes: tuple[Axis, ...], round_to: int) -> float:
    """The smallest ratio in thousandths that keeps the budget; the cost falls with the ratio, so halving finds it."""
    present = graph.cost()
    low, high = 0, 999
    if not budget.allows(graph.cost(_sizes(axes, high / 1000, round_to)), present):
        smallest = graph.cost(_sizes(axes, high / 1000, round_to))
        raise BudgetError(f"{budget} cannot be kept: one unit of every axis takes {smallest}")
    while low < high:
        middle = (low + high) // 2
        if budget.allows(graph.cost(_sizes(axes, middle / 1000, round_to)), present):
            high = middle
        else:
            low = middle + 1
    return low / 1000


def magnitude(model: nn.Module, graph: Graph) -> Callable[[Axis], Tensor]:
    """An importance: the Euclidean norm of all weights that make a unit. The model must be the graph's, as it is."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}

    def norm(axis: Axis) -> Tensor:
        total = torch.zeros(axis.size, dtype=torch.float64)
        for name, dim in dict.fromkeys((place.tensor, place.dim) for place in axis.producers):
            weight = tensors[name].detach().double().movedim(dim, 0).flatten(1).pow(2).sum(1).cpu()
            unit = labels(graph.tensors[name][dim], axis.term.find(), {})
            total.index_add_(0, unit.clamp(min=0), torch.where(unit < 0, 0.0, weight))
        return total.sqrt()

    return norm


def _worth(axis: Axis, importance: Importance) -> Tensor:
    what = f"the importance of {axis.name!r} must be {axis.size} finite numbers"
    worth = importance.get(axis.name) if isinstance(importance, Mapping) else importance(axis)
    if not isinstance(worth, Tensor) or worth.shape != (axis.size,):
        found = list(worth.shape) if isinstance(worth, Tensor) else worth
        raise ArgumentError(f"{what} in a tensor, not {found!r}")
    if not worth.isfinite().all():
        raise ArgumentError(f"{what}, but {int((~worth.isfinite()).sum())} of them are not")
    return worth.detach().cpu()


def _why(graph: Graph) -> str:
    if graph.sculptable:
        return "rounded to whole units, everything stays"
    reasons = list(dict.fromkeys(axis.frozen for axis in graph.axes if axis.frozen))
    return f"no axis of the model can change ({'; '.join(map(str, reasons[:3])) or 'it has no weights'})"
