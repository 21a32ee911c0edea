"""New units without scores: as many on every axis, relative to its size, as fit; copies of old ones, or random."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import torch

from netsculpt.choice import Choice, Limits, Option, Solver, choose
from netsculpt.edit import Split, Widen
from netsculpt.edit.edits import Edit
from netsculpt.graph import Graph
from netsculpt.measure import Statistics
from netsculpt.methods.growing.groups import entries_of, incoming

NOISE = 0.01  # of the norm of a copied unit's incoming weights: without it copies would stay alike for ever


def evenly(
    graph: Graph,
    most: Mapping[str, int],
    limits: Limits,
    *,
    solver: Solver = "greedy",
    latency: Callable[[Mapping[str, int]], float] | None = None,
) -> Choice:
    """How many units every axis gets so that all grow by the same factor, within the limits.

    Args:
        graph: of the model.
        most: axis name -> as many new units at most.
        limits: of the model afterwards.
        solver: as in ``netsculpt.choice.choose``.
        latency: likewise.
    """
    cost = _cost(graph, limits)
    options = [
        Option(name, number, 1, -cost(name) / (1 + number / graph[name].size))
        for name, count in most.items()
        for number in range(count)
    ]
    return choose(options, graph, limits, solver=solver, latency=latency)


def random_units(graph: Graph, added: Mapping[str, int], seed: int) -> list[Edit]:
    """New units whose incoming weights are drawn like those that are there and whose outgoing ones are zero."""
    return [Widen(name, count, seed=seed) for name, count in added.items()]


def net2net(stats: Statistics, added: Mapping[str, int], seed: int) -> list[Edit]:
    """Random units copied, with shares of the outgoing weights and a little noise on what makes the copies.

    Source: T. Chen, I. Goodfellow, J. Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer" (2016).
    """
    generator = torch.Generator().manual_seed(seed)
    tensors = dict(stats.model.named_parameters())
    edits: list[Edit] = []
    for name, count in added.items():
        axis = stats.graph[name]
        drawn = Counter(torch.randint(axis.size, (count,), generator=generator).tolist())
        for unit, copies in sorted(drawn.items()):
            noise = {}
            for place in incoming(axis, "split"):
                entries = entries_of(stats.graph, place, axis)
                spread = NOISE * float(tensors[place.tensor].detach().double().square().mean().sqrt())
                noise[place.tensor] = spread * torch.randn(copies + 1, entries, generator=generator)
                noise[place.tensor][0] = 0
            edits.append(Split(name, unit, [1 / (copies + 1)] * (copies + 1), noise))
    return edits


def _cost(graph: Graph, limits: Limits) -> Callable[[str], float]:
    """What a unit costs in what is bounded first: a choice by gain per cost is then one by the factor of growth."""
    for budget in limits.budgets:
        for what in ("params", "macs"):
            if getattr(budget, what) is not None:
                return lambda name, what=what: float(getattr(graph.cost_per_unit(name), what))  # type: ignore[misc]
    return lambda name: 1.0
