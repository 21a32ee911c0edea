"""Where new units of an axis get what they are made of, and where they leave it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from netsculpt.errors import MeasureError
from netsculpt.graph import Graph
from netsculpt.measure import Statistics
from netsculpt.measure.consumers import Consumption, Read, find_consumers
from netsculpt.measure.once import once
from netsculpt.measure.playback import state_of
from netsculpt.measure.producers import Producer
from netsculpt.measure.units import Unit, find_units
from netsculpt.methods.growing.initial.bodies import Body, Pools, Response


class Way(NamedTuple):
    """From a producer to a consumer.

    Attributes:
        producer: what makes units.
        rows: where the patches of its weight, and the 1 of its bias, stand among all that a unit is made of.
        factor: how the unit moves with the producer's result, where it is used.
        pools: what pools it between.
    """

    producer: Producer
    rows: slice
    factor: float
    pools: Pools


class Use(NamedTuple):
    """One operation that uses units, with all ways to it.

    Attributes:
        read: its weight.
        number: of its weight among the axis's consumers.
        operation: the operation.
        ways: from the producers.
    """

    read: Read
    number: int
    operation: Producer
    ways: tuple[Way, ...]


@dataclass(frozen=True, eq=False)
class Place:
    """Where new units of an axis go.

    Attributes:
        unit: the units that are there.
        body: what lies between.
        reads: the consumers, in the order of a unit's outgoing weights.
        rows: producing weight -> where its entries, then its bias, stand in a unit's incoming weights.
        width: number of a unit's incoming weights.
        dtype: of the first producer's weight.
    """

    unit: Unit
    body: Body
    reads: tuple[Read, ...]
    rows: Mapping[str, slice]
    width: int
    dtype: torch.dtype

    @property
    def noise(self) -> float:
        """What rounding makes of a singular value of 0, as a share of the largest."""
        return self.width * torch.finfo(self.dtype).eps

    def uses(self, responses: Mapping[tuple[str, str], Response]) -> tuple[Use, ...]:
        """All operations that use the units, with the slopes of these responses.

        Raises:
            MeasureError: units get there in a way that cannot be followed.
        """
        found = []
        for number, read in enumerate(self.reads):
            for operation in read.operations:
                response = responses.get((operation.source, operation.node))
                if response is None:
                    raise MeasureError(f"{operation.node} takes new units of {self.unit.axis!r} in an unknown way")
                ways = tuple(
                    Way(producer, self.rows[producer.weight], slope.factor, slope.pools)
                    for producer, slope in ((self.unit.producers[k], s) for k, s in response.slopes.items())
                )
                found.append(Use(read, number, operation, ways))
        return tuple(found)


class _Found(NamedTuple):
    units: dict[str, Unit]
    consumers: dict[str, Consumption]
    reasons: dict[str, str]


@once
def _structure(stats: Statistics) -> _Found:
    """Of all axes, whichever were measured."""
    (units, reasons), (consumers, unread) = find_units(stats.graph), find_consumers(stats.graph)
    return _Found(units, consumers, {**unread, **reasons})


def place(stats: Statistics, axis: str) -> Place:
    """Where new units of an axis go.

    Raises:
        MeasureError: its units are made or used in a way for which initial values cannot be computed.
    """
    name = stats.graph[axis].name
    found = _structure(stats)
    reason = found.reasons.get(name) or _refusal(found.units[name], found.consumers[name].reads)
    if reason is not None:
        raise MeasureError(f"new units of {name!r} cannot be computed: {reason}")
    unit, reads = found.units[name], found.consumers[name].reads
    rows, start = {}, 0
    for weight in unit.weights:
        width = _inputs(stats.graph, weight.name, weight.dim) + (weight.bias is not None)
        rows[weight.name] = slice(start, start + width)
        start += width
    dtype = state_of(stats.graph.program.exported)[unit.weights[0].name].dtype
    return Place(unit, Body(unit, stats.graph), reads, rows, start, dtype)


def _inputs(graph: Graph, weight: str, dim: int) -> int:
    sizes = [term.find().size for term in graph.tensors[weight]]
    return math.prod(sizes[:dim] + sizes[dim + 1 :])


def _refusal(unit: Unit, reads: Sequence[Read]) -> str | None:
    used = {read.weight for read in reads}
    for weight in unit.weights:
        if weight.name in used:
            return f"{weight.name} both makes and uses its units"
        if weight.rows.shape[1] != 1:
            return f"a unit has {weight.rows.shape[1]} rows of {weight.name}, not 1"
    return None
