"""The best gain per cost first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netsculpt.choice.problem import Problem, Progress
from netsculpt.choice.queues import Queues

Numbers = NDArray[np.float64]

TINY = 1e-30  # a cost of nothing: such moves come first, and in the order of their gains


def greedy(problem: Problem, *, by_cost: bool = False) -> Progress:
    """Choose move by move: growing, while the bounds are kept; pruning, until they are.

    Growing, a move is worth its gain per the largest fraction that it takes of what a bound leaves; pruning, its harm
    per what it contributes to the bounds that are not kept yet, each counted as a whole. Costs of neighbouring axes are
    looked up again only for the move that seems best: they never become better by what was chosen, so a move that is
    the best at its present cost and at earlier costs of others is the best one.

    With ``by_cost``, only for pruning, the harm does not matter: as few units as possible, where limits are narrow.
    """
    progress = Progress(problem)
    search = _Search(problem, progress, by_cost)
    while problem.sign > 0 or progress.exceeded:
        number = search.best()
        if number is None:
            break
        search.take(number)
    return progress


class _Search:
    """Arrays over queues: gains of their next moves, and by how much these change every bounded quantity."""

    def __init__(self, problem: Problem, progress: Progress, by_cost: bool) -> None:
        self._progress = progress
        self._by_cost = by_cost
        self._queues = Queues(problem)
        self._high = np.array([bound.high for bound in problem.bounds], dtype=np.float64)
        axes = np.array([queue.axis for queue in self._queues.queues], dtype=np.int64)
        self._own = [np.flatnonzero(axes == axis) for axis in range(len(problem.names))]
        self._near = [np.flatnonzero(np.isin(axes, _neighbours(problem, axis))) for axis in range(len(problem.names))]
        self._gains: Numbers = np.zeros(len(axes))
        self._changes: Numbers = np.zeros((len(axes), len(problem.bounds)))
        self._stale = np.zeros(len(axes), dtype=bool)
        for number in range(len(axes)):
            self._look(number)
        self._closed = np.zeros(len(axes), dtype=bool)

    def best(self) -> int | None:
        """The queue whose next move is the best of those that fit, the first of equals; None without any."""
        while len(self._gains):
            scores = self._growing() if self._progress.problem.sign > 0 else self._pruning()
            scores[self._closed] = np.inf
            number = int(scores.argmin())
            if scores[number] == np.inf:
                return None
            if self._stale[number]:
                self._look(number)
                continue
            move = self._queues.queues[number].head
            assert move is not None
            if self._progress.fits(move.axis, move.units):
                return number
            self._closed[number] = True
        return None

    def take(self, number: int) -> None:
        """Make the next move of a queue."""
        move = self._queues.take(number)
        self._progress.take(move)
        self._stale[self._near[move.axis]] = True
        for own in self._own[move.axis]:
            self._look(int(own))

    def _look(self, number: int) -> None:
        """Bring gain and cost of a queue's next move up to date."""
        self._stale[number] = False
        move = self._queues.queues[number].head
        self._gains[number] = np.inf if move is None else 1.0 if self._by_cost else move.gain
        if move is not None:
            after = self._progress.after(move.axis, move.units)
            self._changes[number] = [new - old for new, old in zip(after, self._progress.values, strict=True)]

    def _growing(self) -> Numbers:
        left = np.maximum(self._high - self._progress.values, TINY)
        fractions = np.maximum(self._changes / left, 0).max(axis=1, initial=TINY)
        return np.asarray(self._gains / fractions)

    def _pruning(self) -> Numbers:
        excess = self._progress.values - self._high
        lacking = excess > 0
        shares = np.clip(-self._changes[:, lacking] / excess[lacking], 0, 1).sum(axis=1)
        return np.where(shares > 0, self._gains / np.maximum(shares, TINY), np.inf)


def _neighbours(problem: Problem, axis: int) -> list[int]:
    """Other axes whose units come to cost something else when ``axis`` changes."""
    return [other for bound in problem.bounds for other in bound.quantity.neighbours(axis)]
