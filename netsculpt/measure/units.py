"""Units as functions of their own weights: from the layers that make them to the operations that mix them.

Between its producers and whatever sums over its units, an axis is touched by operations that treat every unit alone:
norms by channel, activations, gates, pooling, depthwise filters, residual sums. That stretch of the program is the
unit's body; copies of a unit change the loss only through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from netsculpt.graph import Axis, Graph
from netsculpt.graph.axes import Place
from netsculpt.graph.positions import contains, entries_by_unit, labels
from netsculpt.graph.source import source_of
from netsculpt.graph.terms import Term
from netsculpt.measure.kinks import KINKED
from netsculpt.measure.nodes import (
    IN_PLACE,
    MAXIMA,
    REARRANGING,
    bends_units,
    by_entry,
    operation,
    written_by,
)
from netsculpt.measure.producers import Producer, producers_in


@dataclass(frozen=True)
class Weight:
    """A parameter that makes units: the weight of a producer with its bias.

    Attributes:
        name: of the weight.
        dim: its dimension that makes them.
        rows: [m, r] the rows of every unit along it.
        bias: name of the bias; None where there is none.
        size: of that dimension.
    """

    name: str
    dim: int
    rows: Tensor
    bias: str | None
    size: int

    @property
    def whole(self) -> bool:
        """Whether row k of the weight is unit k, and there are no others."""
        return self.rows.shape == (self.size, 1) and bool((self.rows[:, 0] == torch.arange(self.size)).all())


@dataclass(frozen=True, eq=False)
class Unit:
    """The units of one axis as functions of their incoming weights.

    Attributes:
        axis: name of the axis.
        size: number of units, m.
        weights: what makes them; one after the other they are the coordinates of a direction.
        producers: the operations that use these weights.
        body: the operations on units, in program order.
        uses: (value, operation) where units leave for an operation that mixes them.
        places: value of a use -> its dimension that holds units, and the unit of every entry of that, -1 for none.
        sides: what operations of the body take besides.
        kinked: whether some operation of the body has a kink.
        diagonal: whether the second derivative by the only producer's result is one number per entry of it.
    """

    axis: str
    size: int
    weights: tuple[Weight, ...]
    producers: tuple[Producer, ...]
    body: tuple[fx.Node, ...]
    uses: tuple[tuple[str, str], ...]
    places: Mapping[str, tuple[int, Tensor]]
    sides: frozenset[str]
    kinked: bool
    diagonal: bool

    @property
    def explicit(self) -> bool:
        """Whether splitting matrices can be made as weighted Gram matrices of patches."""
        return self.diagonal and self.producers[0].has_patches


def find_units(graph: Graph) -> tuple[dict[str, Unit], dict[str, str]]:
    """The units of all axes that can be measured, and why the others cannot: axis -> reason."""
    program = _Program(graph)
    units: dict[str, Unit] = {}
    reasons: dict[str, str] = {}
    for axis in graph.axes:
        reason = axis.frozen or axis.inexact or axis.uncopyable
        found = reason if reason else program.unit(axis)
        if isinstance(found, Unit):
            units[axis.name] = found
        else:
            reasons[axis.name] = found
    return units, reasons


class _Program:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        exported = graph.program.exported
        self._nodes = list(exported.graph.nodes)
        self._by_name = {node.name: node for node in self._nodes}
        self._producers: dict[tuple[str, int], list[Producer]] = {}
        for producer in producers_in(graph):
            self._producers.setdefault((producer.weight, producer.dim), []).append(producer)

    def unit(self, axis: Axis) -> Unit | str:
        term = axis.term.find()
        weights, producers = [], []
        for name, dim in dict.fromkeys((place.tensor, place.dim) for place in axis.producers):
            made = self._producers.get((name, dim))
            if not made:
                return f"{name} makes its units in another way than a linear layer or a convolution"
            unit = labels(self._graph.tensors[name][dim], term, {})
            rows = entries_by_unit(unit)
            weights.append(Weight(name, dim, rows, made[0].bias, len(unit)))
            producers.extend(made)
            if rows.shape[1] != sum(self._count(place) for place in axis.producers if place[:2] == (name, dim)):
                return f"it lies twice in one dimension of {name}"
        body, uses = self._body(axis, {producer.node for producer in producers})
        mixed = self._mixed(axis, body, uses)
        if mixed is not None:
            return mixed
        inside = {node.name for node in body} | {producer.node for producer in producers}
        if not any(bends_units(node, inside) for node in body):
            return "no nonlinearity follows before its units are mixed, so no split changes the loss"
        sides = {each.name for node in body for each in node.all_input_nodes} - inside
        return Unit(
            axis.name,
            axis.size,
            tuple(weights),
            tuple(producers),
            tuple(body),
            tuple(uses),
            {value: self._place(value, axis) for value, _ in uses},
            frozenset(sides),
            any(operation(node) in KINKED or operation(node) in MAXIMA for node in body),
            _diagonal(weights, producers, body),
        )

    def _body(self, axis: Axis, producers: set[str]) -> tuple[list[fx.Node], list[tuple[str, str]]]:
        inside, body = set(producers), []
        uses: list[tuple[str, str]] = []
        for node in self._nodes:
            if node.op != "call_function":
                continue
            used = [each.name for each in node.all_input_nodes if each.name in inside]
            if not used:
                continue
            if node.name not in producers and self._carries(node, axis):
                inside.add(node.name)
                body.append(node)
            elif node.name in producers or (self._is_tensor(node) and operation(node) != "getitem"):
                uses.extend((name, node.name) for name in used)
        return body, uses

    @staticmethod
    def _count(place: Place) -> int:
        """Entries of one unit at a place."""
        return len(place.entries.entries(torch.zeros(1, dtype=torch.int64)))

    def _mixed(self, axis: Axis, body: list[fx.Node], uses: list[tuple[str, str]]) -> str | None:
        """Why units are not alone in their body or at their uses; None where they are."""
        users = [user for _, user in uses]
        twice = next((user for user in users if users.count(user) > 1), None)
        if twice is not None:
            return f"units are multiplied with units where they are mixed ({source_of(self._by_name[twice])})"
        for node in body:
            if any(contains(term, {axis.term.find(): None}) for term in self._graph.sums.get(node.name, ())):
                return f"units are mixed on their way ({source_of(node)})"
            if written_by(node) is not None and operation(node.all_input_nodes[0]) in REARRANGING - IN_PLACE:
                return f"units are written in place through a view ({source_of(node)})"
        return None

    def _carries(self, node: fx.Node, axis: Axis) -> bool:
        units = {axis.term.find(): None}
        return any(contains(dim, units) for dims in self._outputs(node) for dim in dims)

    def _place(self, value: str, axis: Axis) -> tuple[int, Tensor]:
        (dims,) = self._outputs(self._by_name[value])
        dim = next(number for number, each in enumerate(dims) if contains(each, {axis.term.find(): None}))
        return dim, labels(dims[dim], axis.term.find(), {})

    def _outputs(self, node: fx.Node) -> tuple[tuple[Term, ...], ...]:
        """The terms of every result of a node."""
        if operation(node) != "getitem":
            return self._graph.values.get(node.name, ())
        source, number = node.all_input_nodes[0], node.args[1]
        assert isinstance(number, int)
        return self._graph.values.get(source.name, ())[number : number + 1]

    def _is_tensor(self, node: fx.Node) -> bool:
        value = node.meta.get("val")
        return isinstance(value, (Tensor, list, tuple))


def _diagonal(weights: list[Weight], producers: list[Producer], body: list[fx.Node]) -> bool:
    if len(producers) != 1 or producers[0].options.get("groups", 1) != 1 or not weights[0].whole:
        return False
    inside = {producers[0].node, *(node.name for node in body)}
    bends = [number for number, node in enumerate(body) if bends_units(node, inside)]
    before = body[: bends[-1] + 1]
    # What meets again after it was rearranged may be two entries of one result.
    meets = any(len([each for each in node.all_input_nodes if each.name in inside]) > 1 for node in before)
    moved = any(operation(node) in REARRANGING - IN_PLACE for node in before)
    return all(by_entry(node) for node in before) and not (meets and moved)
