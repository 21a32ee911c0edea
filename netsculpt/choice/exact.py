"""The best choice of all, where costs are taken as linear: mixed-integer programming by scipy."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netsculpt.choice.options import Option, Step
from netsculpt.choice.problem import Move, Problem, Progress
from netsculpt.errors import ArgumentError

Numbers = NDArray[np.float64]

ROUNDS = 30  # how often bounds are tightened at most
MARGIN = 1e-3  # by how much more than by the last excess: choices are discrete
GAP = 1e-9  # relative, at which a solution counts as the best


class Exact(NamedTuple):
    """What the exact solver found.

    Attributes:
        progress: a choice that keeps the true bounds; None where no round led to one.
        bound: no choice under linear costs is better; None where there is no such choice at all.
    """

    progress: Progress | None
    bound: float | None


def exact(problem: Problem) -> Exact:
    """The best choice where every option costs what it costs alone.

    Options that are chosen together cost more than that when they grow, and save less when they shrink, for widths of
    neighbours are multiplied. So the choice is made again under tighter bounds until its true cost fits.

    Raises:
        ArgumentError: scipy is not installed, or sizes are to be rounded.
    """
    if any(multiple > 1 for multiple in problem.multiples):
        raise ArgumentError("round_to must be 1 with solver 'exact'; solver 'greedy' rounds sizes")
    linear = _Linear(problem)
    room, bound = linear.high.copy(), None
    for number in range(ROUNDS):
        chosen, dual = linear.solve(room)
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
        room[over] *= linear.high[over] / used[over] * (1 - problem.sign * MARGIN)
    return Exact(None, bound)


class _Linear:
    """The options of a problem as columns of a linear one."""

    def __init__(self, problem: Problem) -> None:
        self._optimize, self._sparse = _scipy("optimize"), _scipy("sparse")
        self._columns = [(item, option) for item, options in enumerate(problem.items) for option in options]
        start = Progress(problem)
        self.start: Numbers = np.array(start.values, dtype=np.float64)
        self.high: Numbers = np.array([bound.high for bound in problem.bounds], dtype=np.float64) - self.start
        self._low = np.array([bound.low for bound in problem.bounds], dtype=np.float64) - self.start
        kinds = {(problem.axes[item], option.units) for item, option in self._columns}
        costs = {kind: np.array(start.after(*kind), dtype=np.float64) - self.start for kind in kinds}
        columns = [costs[problem.axes[item], option.units] for item, option in self._columns]
        self._costs = np.array(columns).reshape(len(columns), len(problem.bounds)).T
        # Growing, what has no gain is never chosen.
        self._most = np.array([float(problem.sign < 0 or option.gain < 0) for _, option in self._columns])
        self._gains = np.array([option.gain for _, option in self._columns])
        self._fixed = [*self._widths(problem), *self._exclusions()]

    def solve(self, room: Numbers) -> tuple[list[tuple[int, Option]] | None, float | None]:
        """The best options whose linear costs change bounded quantities by at most ``room``, and the dual bound."""
        linear = self._optimize.LinearConstraint
        # Rows of one magnitude: parameters and multiply-accumulates differ by orders.
        scale = np.maximum(np.abs(self._costs).max(axis=1, initial=0), 1e-12)
        rows = [linear(self._costs / scale[:, None], self._low / scale, room / scale)] if len(scale) else []
        result = self._optimize.milp(
            self._gains,
            constraints=[*rows, *self._fixed],
            integrality=np.ones(len(self._gains)),
            bounds=self._optimize.Bounds(0, self._most),
            options={"mip_rel_gap": GAP},
        )
        if result.x is None:
            return None, None
        chosen = [column for column, x in zip(self._columns, result.x, strict=True) if x > 0.5]
        dual = result.mip_dual_bound
        return chosen, float(result.fun if dual is None or not math.isfinite(dual) else dual)

    def _widths(self, problem: Problem) -> list[Any]:
        """Axes keep their minimum and maximum."""
        owners = [problem.axes[item] for item, _ in self._columns]
        units = [option.units for _, option in self._columns]
        shape = (len(problem.names), len(units))
        matrix = self._sparse.csr_array((units, (owners, range(len(units)))), shape=shape)
        spans = list(zip(problem.sizes, problem.widths, strict=True))
        low = [-math.inf if problem.sign > 0 else min(0, least - size) for size, (least, _) in spans]
        high = [math.inf if problem.sign < 0 or most is None else max(0, most - size) for size, (_, most) in spans]
        return [self._optimize.LinearConstraint(matrix, low, high)]

    def _exclusions(self) -> list[Any]:
        """At most one option of an item is chosen."""
        owners = [item for item, _ in self._columns]
        shape = (owners[-1] + 1, len(owners))
        matrix = self._sparse.csr_array((np.ones(len(owners)), (owners, range(len(owners)))), shape=shape)
        several = np.flatnonzero(np.bincount(owners) > 1)
        return [self._optimize.LinearConstraint(matrix[several], -math.inf, 1)] if len(several) else []


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
