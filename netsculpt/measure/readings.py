"""Where the units of an axis are read, and how large they are there."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt.errors import MeasureError
from netsculpt.graph import Axis, Graph
from netsculpt.graph.positions import contains, entries_by_unit, labels
from netsculpt.graph.terms import Term, leaves
from netsculpt.measure.nodes import operation
from netsculpt.measure.once import once
from netsculpt.measure.passes import played
from netsculpt.measure.producers import producers_in
from netsculpt.measure.ranks import summed
from netsculpt.measure.statistics import Statistics


class Reading(NamedTuple):
    """A value that holds units, read by an operation that multiplies with a weight.

    Attributes:
        value: name of the value.
        operation: name of the operation.
        dim: the value's dimension that holds the units.
        entries: int64 [m, r] the entries of each unit along it.
        batch: the value's dimension that holds the examples, and positions where they lie in rows.
        terms: what that dimension is made of, and the examples in it; None where the program is of one batch size and
            does not tell: then examples are its outermost part.
    """

    value: str
    operation: str
    dim: int
    entries: Tensor
    batch: int
    terms: tuple[Term, Term] | None

    def laid_out(self, value: Tensor, examples: int) -> Tensor:
        """The value as [examples, m, positions]: everything of an example's unit in a row."""
        rows = self._by_example(value, examples).unflatten(self.batch, (examples, -1))
        apart = rows.movedim(self.batch, 0).movedim(self.dim + 1, 1)  # one dimension more, the first
        units, entries = self.entries.shape
        if entries > 1 or units < apart.shape[1]:
            apart = apart[:, self.entries.to(apart.device)]
        return apart.flatten(2)

    def _by_example(self, value: Tensor, examples: int) -> Tensor:
        """The value with everything of an example in a row along ``batch``."""
        if self.terms is None:
            return value
        whole, batch = self.terms
        order = labels(whole, batch, {batch: examples}).argsort(stable=True)
        if bool((order.diff() == 1).all()):
            return value
        return value.index_select(self.batch, order.to(value.device))


class Size(NamedTuple):
    """How large units are where they are read.

    Attributes:
        mean: [m] float64, the mean of their absolute values over examples and positions.
        nonzero: [m] float64, the share of them that is not zero.
    """

    mean: Tensor
    nonzero: Tensor


def readings(graph: Graph) -> dict[str, list[Reading]]:
    """Axis -> where its units are read, in program order.

    Of the axes that can change and whose units are read by linear layers and convolutions alone: what a unit does is
    all that is seen there.
    """
    by_weight: dict[str, list[tuple[str, str]]] = {}
    for each in producers_in(graph):
        by_weight.setdefault(each.weight, []).append((each.source, each.node))
    terms = _Terms(graph)
    found: dict[str, list[Reading]] = {}
    for axis in graph.sculptable:
        weights = dict.fromkeys(place.tensor for place in axis.consumers)
        here = [terms.reading(axis, *pair) for name in weights for pair in by_weight.get(name, [("", "")])]
        known = [each for each in here if each is not None]
        if known and len(known) == len(here) and not terms.mixed(axis, {each.operation for each in known}):
            found[axis.name] = known
    return found


@once
def sizes(stats: Statistics) -> dict[str, list[Size]]:
    """How large units are at every reading of their axis, over the calibration data of all ranks.

    Args:
        stats: of the model as it is. One pass forward over its batches, which is kept as long as ``stats``.

    Raises:
        MeasureError: the model has changed since it was measured, or a value is not finite.
    """
    places = readings(stats.graph)
    sums = {
        name: [torch.zeros(3, stats.graph[name].size, dtype=torch.float64) for _ in each]
        for name, each in places.items()
    }
    at: dict[str, tuple[str, list[tuple[Reading, Tensor]]]] = {}
    for name, each in sums.items():
        for reading, total in zip(places[name], each, strict=True):
            at.setdefault(reading.operation, (reading.value, []))[1].append((reading, total))
    for batch in stats.data:
        told = {user: (value, partial(_add, pairs, batch.size)) for user, (value, pairs) in at.items()}
        played(stats, batch, told)
    return {name: [_size(name, summed(total)) for total in each] for name, each in sums.items()}


def _add(pairs: Iterable[tuple[Reading, Tensor]], examples: int, value: Tensor) -> None:
    for reading, total in pairs:
        rows = reading.laid_out(value, examples).abs()
        total += torch.stack(
            [
                rows.sum((0, 2), dtype=torch.float64),
                rows.count_nonzero((0, 2)).double(),
                torch.full((rows.shape[1],), rows[:, 0].numel(), dtype=torch.float64, device=rows.device),
            ]
        ).cpu()


def _size(axis: str, total: Tensor) -> Size:
    if not bool(total.isfinite().all()):
        raise MeasureError(f"the units of {axis!r} are not finite on the calibration data")
    return Size(total[0] / total[2], total[1] / total[2])


class _Terms:
    """What the dimensions of a program's values are made of."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes = {node.name: node for node in graph.program.exported.graph.nodes}
        self._batch = {leaf: None for term in graph.batch for leaf in leaves(term)}

    def reading(self, axis: Axis, value: str, user: str) -> Reading | None:
        term = axis.term.find()
        dims = self._dims(value)
        dim = next((number for number, each in enumerate(dims) if contains(each, {term: None})), None)
        if dim is None:
            return None
        entries = entries_by_unit(labels(dims[dim], term, {}))
        batch = next((number for number, each in enumerate(dims) if contains(each, self._batch)), None)
        if batch is None:
            return Reading(value, user, dim, entries, 0, None)
        examples = next(leaf for leaf in leaves(dims[batch]) if leaf in self._batch)
        return Reading(value, user, dim, entries, batch, (dims[batch], examples))

    def mixed(self, axis: Axis, known: set[str]) -> bool:
        """Whether other operations than ``known`` sum over units; norms do in axes that are inexact for it."""
        units = {axis.term.find(): None}
        summing = (name for name, terms in self._graph.sums.items() if any(contains(term, units) for term in terms))
        return axis.exact and any(name not in known for name in summing)

    def _dims(self, value: str) -> tuple[Term, ...]:
        node = self._nodes.get(value)
        if node is None:
            return ()
        number = 0
        if operation(node) == "getitem":
            assert isinstance(node.args[1], int)
            node, number = node.all_input_nodes[0], node.args[1]
        found = self._graph.values.get(node.name, ())
        return found[number] if number < len(found) else ()
