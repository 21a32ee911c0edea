"""The operations that use the units of an axis: linear layers and convolutions that multiply them with a weight."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, fx

from netsculpt.graph import Axis, Graph
from netsculpt.graph.positions import entries_by_unit, labels
from netsculpt.graph.source import source_of
from netsculpt.graph.terms import Term, leaves
from netsculpt.measure.nodes import arguments_of, operation
from netsculpt.measure.producers import Producer, producers_in, state_names


@dataclass(frozen=True)
class Constant:
    """Where a constant can be added to an operation's result.

    Attributes:
        tensor: name of a bias, or of the running mean of the batch norm behind it.
        sign: 1 where it is added, -1 where it is taken away.
    """

    tensor: str
    sign: int


@dataclass(frozen=True, eq=False)
class Read:
    """How the units of an axis enter the operations that multiply with one weight.

    Attributes:
        weight: name of the weight.
        operations: all that multiply with it.
        unit: int64 [inputs] the unit of every entry of the weight's dimension of inputs, -1 for none; in convolutions
            in groups the same in every group.
        constant: where a constant can be added to the results.
    """

    weight: str
    operations: tuple[Producer, ...]
    unit: Tensor = field(repr=False)
    constant: Constant | None

    @cached_property
    def columns(self) -> Tensor:
        """int64 [m, c] the columns of every unit, of the weight as [outputs, inputs · kernel]."""
        taps = math.prod(self.operations[0].kernel)
        return (entries_by_unit(self.unit)[..., None] * taps + torch.arange(taps)).flatten(1)

    @property
    def gates(self) -> Tensor:
        """int64 [channels] the unit of every channel of what the operations take, -1 for none."""
        return self.unit.repeat(self.groups)

    @property
    def dim(self) -> int:
        """The dimension of the weight that makes the results."""
        return self.operations[0].dim

    @property
    def groups(self) -> int:
        """Of the convolution; 1 for a linear layer."""
        return int(self.operations[0].options.get("groups", 1))


@dataclass(frozen=True, eq=False)
class Consumption:
    """All that uses the units of an axis.

    Attributes:
        axis: name of the axis.
        size: number of units, m.
        reads: one per weight, in program order.
    """

    axis: str
    size: int
    reads: tuple[Read, ...]


def find_consumers(graph: Graph) -> tuple[dict[str, Consumption], dict[str, str]]:
    """What uses the units of every axis that can be imitated without some of them, and why others cannot be."""
    program = _Program(graph)
    found: dict[str, Consumption] = {}
    reasons: dict[str, str] = {}
    for axis in graph.axes:
        reason = axis.frozen or axis.inexact
        result = reason if reason else program.consumption(axis)
        if isinstance(result, Consumption):
            found[axis.name] = result
        else:
            reasons[axis.name] = result
    return found, reasons


class _Program:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes = {node.name: node for node in graph.program.exported.graph.nodes}
        self._names = state_names(graph)
        self._by_weight: dict[str, list[Producer]] = {}
        for each in producers_in(graph):
            self._by_weight.setdefault(each.weight, []).append(each)
        self._uses: dict[str, int] = {}  # of parameters and buffers, seen through transpositions
        for node in self._nodes.values():
            if node.name in self._names:
                name = self._names[node.name]
                self._uses[name] = self._uses.get(name, 0) + sum(_users(user) for user in node.users)
        self._summing: dict[Term, list[str]] = {}
        for name, terms in graph.sums.items():
            for leaf in {leaf: None for term in terms for leaf in leaves(term)}:
                self._summing.setdefault(leaf, []).append(name)

    def consumption(self, axis: Axis) -> Consumption | str:
        reads = []
        for name, dim in dict.fromkeys((place.tensor, place.dim) for place in axis.consumers):
            operations = self._by_weight.get(name, [])
            if not operations or any(each.dim == dim for each in operations) or not self._plain(name, dim):
                return f"{name} uses its units in another way than a linear layer or a convolution"
            reads.append(self._read(axis, name, dim, operations))
        known = {each.node for read in reads for each in read.operations}
        mixing = next((name for name in self._summing.get(axis.term.find(), ()) if name not in known), None)
        if mixing is not None:
            return f"its units are mixed without a weight ({source_of(self._nodes[mixing])})"
        return Consumption(axis.name, axis.size, tuple(reads)) if reads else "nothing uses its units"

    def _plain(self, name: str, dim: int) -> bool:
        """Whether the dimension is the weight's inputs."""
        (first, *others) = self._by_weight[name]
        same = all((each.kind, each.dim, each.options) == (first.kind, first.dim, first.options) for each in others)
        return same and dim == 1 - first.dim

    def _read(self, axis: Axis, name: str, dim: int, operations: Iterable[Producer]) -> Read:
        operations = tuple(operations)
        unit = labels(self._graph.tensors[name][dim], axis.term.find(), {})
        constants = {self._constant(each) for each in operations}
        constant = constants.pop() if len(constants) == 1 else None
        if constant is not None and self._uses[constant.tensor] != len(operations):
            constant = None
        return Read(name, operations, unit, constant)

    def _constant(self, producer: Producer) -> Constant | None:
        if producer.bias is not None:
            return Constant(producer.bias, 1)
        users = list(self._nodes[producer.node].users)
        if len(users) != 1 or "batch_norm" not in operation(users[0]):
            return None
        mean = arguments_of(users[0]).get("running_mean")
        return Constant(self._names[mean.name], -1) if isinstance(mean, fx.Node) else None


def _users(node: fx.Node) -> int:
    """Operations that use a parameter, where ``node`` does: those behind it if it is a transposition."""
    return len(node.users) if operation(node) in ("t", "numpy_T", "transpose", "permute") else 1


def weight_matrix(weight: Tensor, read: Read) -> Tensor:
    """A consumer's weight as float64 [groups, outputs, columns]."""
    matrix = weight.detach().double().movedim(read.dim, 0).flatten(1)
    return matrix.reshape(read.groups, -1, matrix.shape[1])


def weight_like(matrix: Tensor, weight: Tensor, read: Read) -> Tensor:
    """The reverse of ``weight_matrix``: shaped like ``weight``."""
    shape = weight.movedim(read.dim, 0).shape
    return matrix.reshape(shape).movedim(0, read.dim)


def reads_of(consumptions: Mapping[str, Consumption]) -> dict[str, dict[str, Read]]:
    """Weight -> axis -> how the axis enters it."""
    found: dict[str, dict[str, Read]] = {}
    for axis, consumption in consumptions.items():
        for read in consumption.reads:
            found.setdefault(read.weight, {})[axis] = read
    return found
