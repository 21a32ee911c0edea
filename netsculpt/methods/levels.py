"""Rankings without costs: one level decides how many units every axis keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from netsculpt.choice import Limits
from netsculpt.errors import BudgetError
from netsculpt.graph import Graph
from netsculpt.methods.criteria.uses import uses

Sizes: TypeAlias = dict[str, int]
STEPS = 1 << 16  # into which a fraction is divided: finer than the units of most axes


def shares(graph: Graph, scores: Mapping[str, Tensor], scope: str) -> Callable[[float], Sizes]:
    """A function of a fraction: how many units of every axis are not among the lowest fraction of its set.

    Args:
        graph: of the model.
        scores: axis -> [m], comparable within a set.
        scope: the sets: ``"local"``, every axis; ``"threshold"``, all axes; ``"isomorphic"``, axes built alike.
    """
    sets: dict[object, list[str]] = {}
    for number, name in enumerate(scores):
        key = number if scope == "local" else structure(graph, name) if scope == "isomorphic" else None
        sets.setdefault(key, []).append(name)
    ranks = [_ranks([scores[name] for name in names]) for names in sets.values()]

    def kept(fraction: float) -> Sizes:
        found: Sizes = {}
        for names, of_axes in zip(sets.values(), ranks, strict=True):
            removed = round(fraction * sum(map(len, of_axes)))
            found |= {name: int((rank >= removed).sum()) for name, rank in zip(names, of_axes, strict=True)}
        return {name: found[name] for name in scores}

    return kept


def structure(graph: Graph, axis: str) -> tuple[tuple[str, ...], ...]:
    """What two axes have in common that are built alike, whatever their sizes: what is done with their weights."""
    known = uses(graph)
    places = (
        (place.role.value, str(len(graph.tensors[place.tensor])), *sorted(map(".".join, known.get(place.tensor, ()))))
        for place in graph[axis].places
        if place.tensor in graph.parameters
    )
    return tuple(sorted(places))


def needs_choice(limits: Limits) -> bool:
    """Whether limits are more than budgets of parameters and multiply-accumulates, widths and rounding."""
    latency = any(budget.latency is not None for budget in limits.budgets)
    return latency or bool(limits.groups) or limits.units is not None


def sizes_within(graph: Graph, limits: Limits, kept: Callable[[float], Sizes], names: Sequence[str]) -> Sizes:
    """The sizes at the smallest fraction that keeps all budgets: sizes fall with it, so halving finds it.

    Args:
        graph: of the model.
        limits: that do not need the shared choice.
        kept: what ``shares`` returned.
        names: of the axes.

    Raises:
        BudgetError: even the largest fraction does not keep them.
    """
    present = graph.cost()
    least = [low for low, _ in limits.widths_of(graph, names)]
    multiples = limits.multiples_of(graph, names)

    def sizes(step: int) -> Sizes:
        found = kept(step / STEPS)
        return {
            name: min(graph[name].size, -(-max(found[name], low) // multiple) * multiple)
            for name, low, multiple in zip(names, least, multiples, strict=True)
        }

    def fits(step: int) -> bool:
        cost = graph.cost(sizes(step))
        return all(budget.allows(cost, present) for budget in limits.budgets)

    low, high = 0, STEPS
    if not fits(high):
        smallest = graph.cost(sizes(high))
        raise BudgetError(
            f"the budget cannot be kept: with the least of every axis the model has {smallest.params:,} parameters"
            f" and {smallest.macs:,} multiply-accumulates"
        )
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle + 1, high)
    return sizes(low)


def _ranks(scores: Sequence[Tensor]) -> list[Tensor]:
    """The place of every unit in the ranking of all of a set, the lowest first; of equals the last unit is lower."""
    flat = torch.cat([each.flip(0) for each in reversed(scores)])
    ranks = torch.empty(len(flat), dtype=torch.int64)
    ranks[flat.argsort(stable=True)] = torch.arange(len(flat))
    parts = ranks.split([len(each) for each in reversed(scores)])
    return [part.flip(0) for part in reversed(parts)]
