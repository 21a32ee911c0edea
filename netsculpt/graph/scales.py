"""Numbers that the code computes from sizes: attention's root of a width, an embedding times the root of the model's.

The program holds them as numbers. Which ones follow a size shows when the model runs with other sizes: a factor that is
the root of what attention sums over is made up for by its query weights, any other one makes its axis inexact.
"""

from __future__ import annotations

import math

from netsculpt.graph.analysis import Analysis
from netsculpt.graph.axes import Axis
from netsculpt.graph.facts import InexactFact, RescaleFact, RootFact
from netsculpt.graph.graph import Graph
from netsculpt.graph.probe import Probe
from netsculpt.graph.terms import leaves


def find_scales(analysis: Analysis, graph: Graph, probe: Probe) -> bool:
    """Add facts about factors that follow sizes. Returns whether there are any."""
    if not probe.changed_together(graph, graph.sculptable):
        return False
    roots = _aligned(analysis.facts.roots, probe.factors())
    under = {axis for fact in roots.values() for axis in leaves(fact.term)}
    inside = [axis for axis in graph.sculptable if axis.term.find() in under]
    outside = [axis for axis in graph.sculptable if axis.term.find() not in under]
    for name, positions in probe.factors_that_change(graph, outside).items():
        _inexact(analysis, graph[name], probe, positions)
    changed = probe.changed_together(graph, inside) if inside else set()
    if changed - roots.keys():
        for name, positions in probe.factors_that_change(graph, inside).items():
            if positions - roots.keys():
                _inexact(analysis, graph[name], probe, positions - roots.keys())
    for position in sorted(changed & roots.keys()):
        fact = roots[position]
        if fact.scalers is not None:
            analysis.facts.rescales.append(RescaleFact(fact.scalers, fact.term, 0.5))
        else:
            analysis.facts.inexact.append(
                InexactFact(fact.term, f"the code divides by the root of its size, {fact.factor:g}")
            )
    return True


def _aligned(roots: list[RootFact], factors: list[float]) -> dict[int, RootFact]:
    """The position of each root among the factors, by value and order; none where their numbers differ."""
    found: dict[int, RootFact] = {}
    for value in {fact.factor for fact in roots}:
        facts = [fact for fact in roots if fact.factor == value]
        positions = [k for k, factor in enumerate(factors) if math.isclose(factor, value, rel_tol=1e-12)]
        if len(facts) == len(positions):
            found.update(zip(positions, facts, strict=True))
    return found


def _inexact(analysis: Analysis, axis: Axis, probe: Probe, positions: set[int]) -> None:
    factor = probe.factors()[min(positions)]
    analysis.facts.inexact.append(InexactFact(axis.term, f"the code computes a factor from its size, {factor:g}"))
