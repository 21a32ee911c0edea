"""What can be chosen, and what was."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from netsculpt.errors import ArgumentError
from netsculpt.graph import Cost


class Option(NamedTuple):
    """One way to change one item of an axis; of options with the same axis and item at most one is chosen.

    Attributes:
        axis: name of the axis in the graph.
        item: what is changed, by any name: a unit that is split into ``1 + units`` copies, a new unit, a removed one.
        units: by how many units the axis grows; below 0, by how many it shrinks.
        gain: predicted change of the loss. Growing, below 0 is better, and what is not below 0 is never chosen;
            pruning, the harm, at least 0.
    """

    axis: str
    item: Hashable
    units: int
    gain: float


@dataclass(frozen=True)
class Choice:
    """What ``choose`` chose.

    Attributes:
        options: the chosen ones, in the order in which they were chosen; at most one per item.
        sizes: axis name -> its size afterwards, of the axes that change.
        before: parameters and multiply-accumulates as things are.
        after: the same with ``sizes``.
        gain: sum of the gains of ``options``, the predicted change of the loss.
        seconds: (before, after), where a latency was given.
        bound: from the exact solver, a number that no choice's gain is below when costs are taken as linear; growing
            or pruning, the true parameters and multiply-accumulates are only harder to keep. None from the greedy one.
    """

    options: tuple[Option, ...]
    sizes: Mapping[str, int]
    before: Cost
    after: Cost
    gain: float
    seconds: tuple[float, float] | None = None
    bound: float | None = None


class Step(NamedTuple):
    """From one option of an item, or from none, to the next one worth taking.

    Attributes:
        item: number of the item.
        option: what the item has afterwards.
        before: what it had; None for nothing.
        units: by how much the axis changes.
        gain: by how much the sum of gains changes.
    """

    item: int
    option: Option
    before: Option | None
    units: int
    gain: float


def direction(options: Iterable[Option]) -> int:
    """1 where all options add units, -1 where all remove some, 0 where there are none.

    Raises:
        ArgumentError: an option makes no sense, or some add and some remove units.
    """
    found = 0
    for option in options:
        axis, _, units, gain = option
        if isinstance(units, bool) or not isinstance(units, int) or units == 0:
            raise ArgumentError(f"units of {option} must be a whole number other than 0")
        sign = 1 if units > 0 else -1
        if not math.isfinite(gain):
            raise ArgumentError(f"the gain of {option} must be a finite number")
        if sign < 0 and gain < 0:
            raise ArgumentError(f"the gain of {option} must be at least 0: removing units does harm, or none")
        if found and sign != found:
            raise ArgumentError(f"options must all add units or all remove some; that of {axis!r} differs: {option}")
        found = sign
    return found


def hull(item: int, options: Sequence[Option]) -> list[Step]:
    """The steps through the options of one item, the best gain per unit first, as on a lower convex hull.

    An option that is left out is no better than a mixture of two that are not. Growing, steps without a gain are left
    out too.
    """
    best: dict[int, Option] = {}
    for option in options:
        size = abs(option.units)
        if size not in best or option.gain < best[size].gain:
            best[size] = option
    corners: list[tuple[int, float, Option | None]] = [(0, 0.0, None)]
    for size in sorted(best):
        gain = best[size].gain
        while len(corners) > 1 and _slope(corners[-2], (size, gain, None)) <= _slope(corners[-2], corners[-1]):
            corners.pop()
        corners.append((size, gain, best[size]))
    steps = []
    for (before, had, old), (size, gain, new) in pairwise(corners):
        assert new is not None
        if new.units > 0 and gain >= had:
            break
        steps.append(Step(item, new, old, (size - before) * (1 if new.units > 0 else -1), gain - had))
    return steps


def _slope(a: tuple[int, float, object], b: tuple[int, float, object]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])
