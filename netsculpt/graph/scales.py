"""Numbers that the code computes from sizes: attention's root of a width, an embedding times the root of the model's.

The program holds them as numbers. Which ones follow a size shows when the model runs with other sizes: a factor that is
the root of what attention sums over is made up for by its query weights, any other one makes its axis inexact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from netsculpt.graph.analysis import Analysis
from netsculpt.graph.costs import size_with
from netsculpt.graph.facts import InexactFact, RescaleFact, RootFact
from netsculpt.graph.graph import Graph
from netsculpt.graph.probe import Probe, apart
from netsculpt.graph.rehearsal import Number
from netsculpt.graph.source import source_of
from netsculpt.graph.terms import Term


def find_scales(
    analysis: Analysis, graph: Graph, probe: Probe, sizes: Mapping[Term, int], numbers: Sequence[Number]
) -> bool:
    """Add facts about ``numbers``, which are others when axes have ``sizes``. Returns whether there are any."""
    unexplained = []
    for number in numbers:
        root = next((fact for fact in analysis.facts.roots if _is_root(fact, number, sizes)), None)
        if root is None:
            unexplained.append(number)
        elif root.scalers is not None:
            analysis.facts.rescales.append(RescaleFact(root.scalers, root.term, 0.5))
        else:
            why = f"the code divides by the root of its size, {root.factor:g} ({source_of(root.node)})"
            analysis.facts.inexact.append(InexactFact(root.term, why))
    for number, axis in _followed(probe, graph, sizes, unexplained):
        where = f" ({source_of(number.step.node)})" if number.step is not None else ""
        why = f"the code computes a number from its size, {number.before:g}{where}"
        analysis.facts.inexact.append(InexactFact(axis, why))
    return bool(numbers)


def _is_root(fact: RootFact, number: Number, sizes: Mapping[Term, int]) -> bool:
    """Whether the number is the root of the term's size, or one by it, and follows it."""
    if number.step is None or number.step.node is not fact.node:
        return False
    root = math.sqrt(size_with(fact.term, sizes) / fact.term.size)
    return any(math.isclose(number.after, number.before * each, rel_tol=1e-6) for each in (root, 1 / root))


def _followed(
    probe: Probe, graph: Graph, sizes: Mapping[Term, int], numbers: Sequence[Number]
) -> list[tuple[Number, Term]]:
    """Each number with the axes that it follows, in few runs however many axes there are.

    The k-th run changes the axes whose position has the k-th bit. A number that follows one axis spells its position;
    one that follows several spells more than those, which are told apart one by one.
    """
    if not numbers:
        return []
    spelt: dict[tuple[int, int], int] = {number.place: 0 for number in numbers}
    positions = dict(enumerate(sizes, 1))
    for bit in range(len(sizes).bit_length()):
        outcome = probe.run(graph, {axis: sizes[axis] for at, axis in positions.items() if at >> bit & 1})
        for place in {number.place for number in outcome.numbers} & spelt.keys():
            spelt[place] |= 1 << bit
    suspects = {place: [axis for at, axis in positions.items() if not at & ~bits] for place, bits in spelt.items()}
    confirmed: set[tuple[tuple[int, int], Term]] = set()
    for group in apart(list(suspects.values())):
        changed = {number.place for number in probe.run(graph, {axis: sizes[axis] for axis in group}).numbers}
        confirmed.update(
            (place, axis) for place in changed & suspects.keys() for axis in suspects[place] if axis in group
        )
    return [(number, axis) for number in numbers for axis in sizes if (number.place, axis) in confirmed]
