"""Moves in the order in which they are worth making, by axis and number of units."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

from netsculpt.choice.options import Step, hull
from netsculpt.choice.problem import Move, Problem


class Queue:
    """Moves of one axis that cost the same: all change it by as many units, or they come one after the other.

    Attributes:
        axis: its number.
    """

    def __init__(self, axis: int) -> None:
        self.axis = axis
        self._heap: list[tuple[float, int, Move]] = []

    def push(self, rank: float, number: int, move: Move) -> None:
        """Add a move; the lowest rank comes first, then the lowest number."""
        heapq.heappush(self._heap, (rank, number, move))

    @property
    def head(self) -> Move | None:
        """The next move."""
        return self._heap[0][2] if self._heap else None

    def pop(self) -> Move:
        """Take the next move out."""
        return heapq.heappop(self._heap)[2]


class Queues:
    """All moves of a problem. Of an item's steps only the next one is in a queue.

    Attributes:
        queues: by axis, then by number of units.
    """

    def __init__(self, problem: Problem) -> None:
        hulls = [hull(item, options) for item, options in enumerate(problem.items)]
        self._axis = problem.axes
        self._following = {step.item: steps[1:] for steps in hulls for step in steps[:1]}
        keys: dict[tuple[int, int], None] = {}
        for steps in hulls:
            for step in steps:
                axis = problem.axes[step.item]
                keys.setdefault((axis, abs(step.units) if problem.multiples[axis] == 1 else 0))
        self._by_key = {key: Queue(key[0]) for key in sorted(keys)}
        self.queues = list(self._by_key.values())
        rounded: dict[int, list[list[Step]]] = {}
        for steps in hulls:
            if steps and problem.multiples[problem.axes[steps[0].item]] == 1:
                self._push(steps[0])
            elif steps:
                rounded.setdefault(problem.axes[steps[0].item], []).append(steps)
        for axis, each in rounded.items():
            moves = bundles(axis, each, problem.sizes[axis], problem.multiples[axis])
            for number, move in enumerate(moves):
                self._by_key[axis, 0].push(number, number, move)

    def take(self, number: int) -> Move:
        """The next move of a queue; what it makes possible is put into the queues."""
        move = self.queues[number].pop()
        for step in move.steps if len(move.steps) == 1 and (move.axis, 0) not in self._by_key else ():
            following = self._following[step.item]
            if following:
                self._push(following.pop(0))
        return move

    def _push(self, step: Step) -> None:
        axis = self._axis[step.item]
        self._by_key[axis, abs(step.units)].push(step.gain, step.item, Move(axis, step.units, step.gain, (step,)))


def bundles(axis: int, hulls: Sequence[Sequence[Step]], size: int, multiple: int) -> Iterator[Move]:
    """Steps of one axis as moves from multiple to multiple, the best gain per unit first.

    A step that would lead beyond the next multiple waits for the one after it. What does not fill a move is left out.
    """
    waiting = [(step.gain / abs(step.units), step.item, place) for place, step in _firsts(hulls)]
    heapq.heapify(waiting)
    by_item = {steps[0].item: steps for steps in hulls}
    while waiting:
        taken: list[Step] = []
        late: list[tuple[float, int, int]] = []
        lacking = _lacking(size, multiple, by_item[waiting[0][1]][waiting[0][2]].units)
        while waiting and lacking:
            _, item, place = rank = heapq.heappop(waiting)
            step = by_item[item][place]
            if abs(step.units) > lacking:
                late.append(rank)
                continue
            taken.append(step)
            lacking -= abs(step.units)
            if place + 1 < len(by_item[item]):
                following = by_item[item][place + 1]
                heapq.heappush(waiting, (following.gain / abs(following.units), item, place + 1))
        if lacking:
            return
        move = Move(axis, sum(step.units for step in taken), sum(step.gain for step in taken), tuple(taken))
        size += move.units
        for rank in late:
            heapq.heappush(waiting, rank)
        yield move


def _firsts(hulls: Sequence[Sequence[Step]]) -> Iterator[tuple[int, Step]]:
    for steps in hulls:
        yield 0, steps[0]


def _lacking(size: int, multiple: int, units: int) -> int:
    """Units from ``size`` to the next multiple, upwards or downwards."""
    return multiple - size % multiple if units > 0 else size % multiple or multiple
