"""A choice to be made, in numbers, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from netsculpt.choice.bounds import Bound, bounds
from netsculpt.choice.limits import Limits
from netsculpt.choice.options import Option, Step
from netsculpt.errors import GraphError
from netsculpt.graph import Graph


@dataclass(frozen=True)
class Problem:
    """Options, sizes and bounds by number of axis and item.

    Attributes:
        sign: 1 where units are added, -1 where they are removed.
        names: of the axes that have options, in the order of the graph.
        sizes: their sizes as things are.
        widths: (minimum, maximum) of every axis.
        multiples: what the size of every axis is rounded to.
        items: the options of every item, by axis and then in the order in which they were given.
        axes: the axis of every item.
        bounds: what is bounded.
    """

    sign: int
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    widths: tuple[tuple[int, int | None], ...]
    multiples: tuple[int, ...]
    items: tuple[tuple[Option, ...], ...]
    axes: tuple[int, ...]
    bounds: tuple[Bound, ...]

    @classmethod
    def of(
        cls,
        options: Sequence[Option],
        graph: Graph,
        limits: Limits,
        sign: int,
        latency: Callable[[Mapping[str, int]], float] | None,
    ) -> Problem:
        """The problem of choosing among ``options``.

        Raises:
            GraphError: an axis is not there or frozen.
            BudgetError: limits make no sense.
        """
        used = dict.fromkeys(option.axis for option in options)
        for name in used:
            if graph[name].frozen is not None:
                raise GraphError(f"the units of {name!r} cannot be changed: {graph[name].frozen}")
        names = tuple(axis.name for axis in graph if axis.name in used)
        by_axis: dict[str, dict[Hashable, list[Option]]] = {name: {} for name in names}
        for option in options:
            by_axis[option.axis].setdefault(option.item, []).append(option)
        return cls(
            sign=sign,
            names=names,
            sizes=tuple(graph[name].size for name in names),
            widths=tuple(limits.widths_of(graph, names)),
            multiples=tuple(limits.multiples_of(graph, names)),
            items=tuple(tuple(item) for name in names for item in by_axis[name].values()),
            axes=tuple(number for number, name in enumerate(names) for _ in by_axis[name]),
            bounds=tuple(bounds(limits, graph, names, sign, latency)),
        )


class Move(NamedTuple):
    """Steps that are taken together, on one axis.

    Attributes:
        axis: its number.
        units: by how much it changes.
        gain: of the steps together.
        steps: one, unless sizes are rounded.
    """

    axis: int
    units: int
    gain: float
    steps: tuple[Step, ...]


@dataclass
class Progress:
    """What has been chosen of a problem so far.

    Attributes:
        sizes: of the axes now.
        values: of the bounded quantities now.
        held: number of an item -> the option that it has.
        moves: taken and not taken back, in order.
    """

    problem: Problem
    sizes: list[int] = field(init=False)
    values: list[float] = field(init=False)
    held: dict[int, Option] = field(init=False, default_factory=dict)
    moves: list[Move] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.sizes = list(self.problem.sizes)
        self.values = [bound.quantity.value(self.sizes) for bound in self.problem.bounds]

    @property
    def gain(self) -> float:
        """Sum of the gains of what is chosen."""
        return sum(option.gain for option in self.held.values())

    def after(self, axis: int, units: int) -> list[float]:
        """The values of the bounded quantities when an axis then changes by ``units``."""
        pairs = zip(self.problem.bounds, self.values, strict=True)
        return [bound.quantity.after(self.sizes, value, axis, units) for bound, value in pairs]

    def fits(self, axis: int, units: int) -> bool:
        """Whether an axis may change by ``units``: as far as it grows what grows is bounded, and as it shrinks."""
        least, most = self.problem.widths[axis]
        size = self.sizes[axis] + units
        pairs = list(zip(self.problem.bounds, self.after(axis, units), strict=True))
        if units > 0:
            return (most is None or size <= most) and all(value <= bound.high for bound, value in pairs)
        return size >= least and all(value >= bound.low for bound, value in pairs)

    @property
    def exceeded(self) -> list[Bound]:
        """Bounds from above that are not kept."""
        pairs = zip(self.problem.bounds, self.values, strict=True)
        return [bound for bound, value in pairs if value > bound.high]

    def take(self, move: Move) -> None:
        """Make a move."""
        self._resize(move.axis, move.units)
        self.held |= {step.item: step.option for step in move.steps}
        self.moves.append(move)

    def take_back(self, number: int) -> None:
        """Take back move ``number``, which nothing that came later may be built on."""
        move = self.moves.pop(number)
        self._resize(move.axis, -move.units)
        for step in reversed(move.steps):
            if step.before is None:
                del self.held[step.item]
            else:
                self.held[step.item] = step.before

    def _resize(self, axis: int, units: int) -> None:
        self.values = self.after(axis, units)
        self.sizes[axis] += units

    @property
    def options(self) -> tuple[Option, ...]:
        """What is chosen, in the order of the steps that settled it."""
        steps = (step.item for move in self.moves for step in move.steps)
        last = {item: number for number, item in enumerate(steps)}
        return tuple(self.held[item] for item in sorted(self.held, key=last.__getitem__))
