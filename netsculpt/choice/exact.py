"""The best choice of all, where costs are taken as linear: mixed-integer programming by scipy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netsculpt.choice.options import Option, Step
from netsculpt.choice.problem import Move, Problem, Progress
from netsculpt.errors import ArgumentError

Numbers = NDArray[np.float64]

ROUNDS = 30  # how often bounds are tightened at most
MARGIN = 1e-4  # by how much more than by the last excess: choices are discrete
GAP = 1e-4  # to the bound, relative, at which a choice counts as the best
NODES = 200  # of the search tree; a limit in seconds would give another choice on another machine
ROUNDING = 1e-6  # what a solver of linear programs calls a whole number


class Exact(NamedTuple):
    """What the exact solver found.

    Attributes:
        progress: a choice that keeps the true bounds; None where no round led to one.
        bound: no choice under linear costs is better; None where there is no such choice at all.
    """

    progress: Progress | None
    bound: float | None


def exact(problem: Problem, near: Progress) -> Exact:
    """The best choice where every option costs what it costs alone, to ``GAP`` or as far as ``NODES`` lead.

    Options that are chosen together cost more than that when they grow, and save less when they shrink, for widths of
    neighbours are multiplied. Where the choice does not fit, it is made again with costs halfway to ``near``, another
    choice, which are right there where products are of two, and then under tighter bounds until its true cost fits.

    Raises:
        ArgumentError: scipy is not installed, or sizes are to be rounded.
    """
    if any(multiple > 1 for multiple in problem.multiples):
        raise ArgumentError("round_to must be 1 with solver 'exact'; solver 'greedy' rounds sizes")
    linear = _Linear(problem)
    room, bound, costs = linear.high.copy(), None, linear.costs
    for number in range(ROUNDS):
        chosen, dual = linear.solve(room, costs)
        if number == 0:
            bound = dual
        if chosen is None:
            break
        progress = _progress(problem, chosen)
        if not progress.exceeded:
            return Exact(progress, bound)
        used = np.array(progress.values, dtype=np.float64) - linear.start
        over = used > linear.high
        if not used[over].all():  # more than all that linear costs promise would be needed
            break
        if number == 0:
            costs = linear.costs_at([(a + b) // 2 for a, b in zip(problem.sizes, near.sizes, strict=True)])
        else:
            room[over] *= linear.high[over] / used[over] * (1 - problem.sign * MARGIN)
    return Exact(None, bound)


class _Linear:
    """The options of a problem as columns of a linear one: ``low <= rows @ x <= high``, x of zeros and ones."""

    def __init__(self, problem: Problem) -> None:
        self._optimize, self._sparse = _scipy("optimize"), _scipy("sparse")
        self._columns = [(item, option) for item, options in enumerate(problem.items) for option in options]
        self.start: Numbers = np.array(Progress(problem).values, dtype=np.float64)
        self.high: Numbers = np.array([bound.high for bound in problem.bounds], dtype=np.float64) - self.start
        self._gains: Numbers = np.array([option.gain for _, option in self._columns])
        # Growing, what has no gain is never chosen.
        self._most = np.array([float(problem.sign < 0 or gain < 0) for gain in self._gains])
        self._problem = problem
        self._room_below = np.array([bound.low for bound in problem.bounds], dtype=np.float64) - self.start
        self.costs: Numbers = self.costs_at(problem.sizes)
        widths, least, most = self._widths(problem)
        several = self._exclusions()
        self._fixed = self._sparse.vstack([widths, several], format="csc")
        self._fixed_low = np.concatenate([least, np.full(several.shape[0], -np.inf)])
        self._fixed_high = np.concatenate([most, np.ones(several.shape[0])])

    def solve(self, room: Numbers, costs: Numbers) -> tuple[list[tuple[int, Option]] | None, float | None]:
        """The best options whose ``costs`` change bounded quantities by at most ``room``, and the dual bound."""
        # Rows of one magnitude: parameters and multiply-accumulates differ by orders.
        scale = np.maximum(np.abs(costs).max(axis=1, initial=0), 1e-12)
        self._rows = self._sparse.vstack([self._sparse.csc_array(costs / scale[:, None]), self._fixed], format="csc")
        self._low = np.concatenate([self._room_below / scale, self._fixed_low])
        high = np.concatenate([room / scale, self._fixed_high])
        x, free, bound = self._relaxed(high)
        if x is None:
            return None, None
        if free.any():
            # Columns that are settled are left out: HiGHS would compare them all in pairs.
            settled = self._rows @ np.where(free, 0, x)
            result = self._optimize.milp(
                self._gains[free],
                constraints=self._optimize.LinearConstraint(self._rows[:, free], self._low - settled, high - settled),
                integrality=np.ones(int(free.sum())),
                bounds=self._optimize.Bounds(0, self._most[free]),
                options={"mip_rel_gap": GAP, "node_limit": NODES},
            )
            if result.x is None:
                return None, bound if result.status == 1 else None
            rest = float(self._gains[~free] @ x[~free])
            x = np.where(free, 0, x)
            x[free] = result.x.round()
            dual = result.mip_dual_bound
            bound = max(bound, rest + float(dual)) if dual is not None and math.isfinite(dual) else bound
        return [column for column, taken in zip(self._columns, x, strict=True) if taken > 0.5], bound

    def _relaxed(self, high: Numbers) -> tuple[Numbers | None, NDArray[np.bool_], float]:
        """Whole parts of a linear program's solution, which of them are not settled, and its value.

        An option is settled where doing otherwise would cost more than rounding the solution does.
        """
        upper, lower = np.isfinite(high), np.isfinite(self._low)
        rows = self._sparse.vstack([self._rows[upper], -self._rows[lower]], format="csc")
        sides = np.concatenate([high[upper], -self._low[lower]])
        bounds = np.stack([np.zeros_like(self._most), self._most], axis=1)
        options = {"presolve": False}
        result = self._optimize.linprog(self._gains, rows, sides, bounds=bounds, method="highs-ds", options=options)
        everything = np.ones(len(self._gains), dtype=bool)
        if result.x is None:
            return None, everything, -math.inf
        value = float(result.fun)
        for rounded in (np.floor(result.x + ROUNDING), np.ceil(result.x - ROUNDING)):
            if (rows @ rounded <= sides + ROUNDING).all():
                worth = np.abs(result.lower.marginals + result.upper.marginals)
                gap = float(self._gains @ rounded) - value
                close = gap <= GAP * abs(value)
                return rounded, ~everything if close else worth <= gap + ROUNDING * (1 + abs(value)), value
        return np.zeros_like(self._gains), everything, value

    def costs_at(self, sizes: Sequence[int]) -> Numbers:
        """[bounds, columns], what every option alone costs at the given sizes, or as things are for bounds from below.

        What is bounded from below may not shrink by more than said, and costs as things are never say too little.
        """
        bounds, axes = self._problem.bounds, self._problem.axes
        points = [sizes if bound.low == -math.inf else self._problem.sizes for bound in bounds]
        values = [bound.quantity.value(point) for bound, point in zip(bounds, points, strict=True)]
        places = list(zip(bounds, points, values, strict=True))
        kinds = {(axes[item], option.units) for item, option in self._columns}
        costs = {
            kind: [bound.quantity.after(at, value, *kind) - value for bound, at, value in places] for kind in kinds
        }
        columns = [costs[axes[item], option.units] for item, option in self._columns]
        return np.array(columns, dtype=np.float64).reshape(len(columns), len(bounds)).T

    def _widths(self, problem: Problem) -> tuple[Any, list[float], list[float]]:
        """Axes keep their minimum and maximum."""
        owners = [problem.axes[item] for item, _ in self._columns]
        units = [float(option.units) for _, option in self._columns]
        shape = (len(problem.names), len(units))
        matrix = self._sparse.csr_array((units, (owners, range(len(units)))), shape=shape)
        spans = list(zip(problem.sizes, problem.widths, strict=True))
        low = [-math.inf if problem.sign > 0 else min(0, least - size) for size, (least, _) in spans]
        high = [math.inf if problem.sign < 0 or most is None else max(0, most - size) for size, (_, most) in spans]
        return matrix, low, high

    def _exclusions(self) -> Any:
        """At most one option of an item is chosen: the rows of items with several."""
        owners = [item for item, _ in self._columns]
        shape = (owners[-1] + 1, len(owners))
        matrix = self._sparse.csr_array((np.ones(len(owners)), (owners, range(len(owners)))), shape=shape)
        return matrix[np.flatnonzero(np.bincount(owners) > 1)]


def _progress(problem: Problem, chosen: list[tuple[int, Option]]) -> Progress:
    """The choice, the best gain per unit first."""
    progress = Progress(problem)
    for item, option in sorted(chosen, key=lambda pair: (pair[1].gain / abs(pair[1].units), pair[0])):
        step = Step(item, option, None, option.units, option.gain)
        progress.take(Move(problem.axes[item], option.units, option.gain, (step,)))
    return progress


def _scipy(part: str) -> Any:
    try:
        return import_module(f"scipy.{part}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "scipy":
            raise
        raise ArgumentError("solver 'exact' needs scipy: install it with pip install 'netsculpt[exact]'") from None
