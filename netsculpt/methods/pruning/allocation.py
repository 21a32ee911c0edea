"""How many units every axis keeps: local errors weighed by what they do to the answers of the network."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch

from netsculpt.choice import Limits, Option, Solver, choose
from netsculpt.measure import Statistics
from netsculpt.measure.batches import few
from netsculpt.measure.ranks import summed
from netsculpt.methods.pruning.curves import Choice, Curve
from netsculpt.methods.pruning.refits import Fitted, Matching, Refit, fit

EXAMPLES = 256  # of the calibration data that a single axis is tried on, in whole batches, two at least
NUMBERS = 4 << 20  # of inputs that are enough, too: 28 pictures of 224 × 224
TRIED = (0.25, 0.6)  # shares of an axis's units
POWERS = (0.5, 4.0)  # of the error that the answers' distance may follow
FLOOR = 1e-3  # of what an axis adds that each unit's share at least counts for
TINY = 1e-12

Latency: TypeAlias = Callable[[Mapping[str, int]], float]
Harms: TypeAlias = Mapping[int, float]


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """Axes pruned one at a time, on a part of the calibration data.

    What is fitted to its first half is judged by its second, where there are several batches: with few examples for
    many columns a fit says nothing about others.

    Attributes:
        stats: of that part.
        refit: as in ``fit``.
        matching: as in ``fit``.
    """

    stats: Statistics
    refit: Refit
    matching: Matching

    @classmethod
    def of(cls, stats: Statistics, refit: Refit, matching: Matching) -> Trial:
        """On the first batches of the calibration data."""
        part = few(stats.data, EXAMPLES, NUMBERS)
        examples = int(summed(torch.tensor(sum(batch.size for batch in part))))
        return cls(dataclasses.replace(stats, data=part, examples=examples), refit, matching)

    def fitted(self, axis: str, choice: Choice) -> Fitted:
        """What pruning this axis alone does."""
        unseen = len(self.stats.data) // 2
        return fit(self.stats, {axis: choice}, refit=self.refit, matching=self.matching, held_out=unseen)


def allocate(
    stats: Statistics,
    curves: Mapping[str, Curve],
    harms: Mapping[str, Harms],
    limits: Limits,
    solver: Solver,
    latency: Latency | None,
) -> dict[str, Choice]:
    """Axis -> the units it keeps, of the axes that lose some: within the limits, with the least harm in all.

    Args:
        stats: of ``measure``.
        curves: of all axes that may be pruned.
        harms: axis -> number of units -> harm, which is taken to add up over axes.
        limits: what must be kept.
        solver: as in ``netsculpt.choice.choose``.
        latency: as in ``netsculpt.choice.choose``.
    """
    names = list(harms)
    bounds = zip(names, limits.widths_of(stats.graph, names), limits.multiples_of(stats.graph, names), strict=True)
    # Only widths at which an axis may end: the way to them must not lead over others.
    options = [
        Option(axis, 0, count - curves[axis].size, harm)
        for axis, (low, _), multiple in bounds
        for count, harm in harms[axis].items()
        if count >= low and count % multiple == 0
    ]
    chosen = choose(options, stats.graph, limits, solver=solver, latency=latency).options
    return {each.axis: curves[each.axis].choice(curves[each.axis].size + each.units) for each in chosen}


def between(curve: Curve) -> Harms:
    """Number of units -> what is lost: on straight lines between the numbers that a curve passes through."""
    found = dict(curve.errors)
    for low, high in itertools.pairwise(sorted(curve.errors)):
        slope = (curve.errors[high] - curve.errors[low]) / (high - low)
        found |= {count: curve.errors[low] + slope * (count - low) for count in range(low + 1, high)}
    return found


def harms_of(curve: Curve, trial: Trial) -> Harms:
    """Number of units -> how far the network's answers move when only this axis is pruned.

    Tried for two numbers of units; between and beyond, a power of the curve's error through both. Of a single unit,
    which stays, nothing is tried.
    """
    if not curve.errors:
        return {}
    errors = {
        count: max(error, FLOOR * (1 - count / curve.size)) for count, error in curve.errors.items()
    }  # an error that ends early says that there are few positions, not that units are worthless
    counts = sorted({min(errors, key=lambda count: abs(count - share * curve.size)) for share in TRIED})
    found = [(errors[count], max(trial.fitted(curve.axis, curve.choice(count)).discrepancy, TINY)) for count in counts]
    (error, harm), *others = found
    power = 1.0
    for e, h in others:
        if e != error:
            power = min(max(math.log(harm / h) / math.log(error / e), POWERS[0]), POWERS[1])
    return {count: harm * (each / error) ** power for count, each in errors.items()}
