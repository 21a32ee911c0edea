"""The choice that splitting, growing and pruning share: which units, within which limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias, get_args

from netsculpt.choice.exact import exact
from netsculpt.choice.greedy import greedy
from netsculpt.choice.limits import Limits
from netsculpt.choice.options import Choice, Option, direction
from netsculpt.choice.polish import fill, spare
from netsculpt.choice.problem import Problem, Progress
from netsculpt.errors import ArgumentError, BudgetError
from netsculpt.graph import Graph

Solver: TypeAlias = Literal["greedy", "exact"]


def choose(
    options: Iterable[Option],
    graph: Graph,
    limits: Limits,
    *,
    solver: Solver = "greedy",
    latency: Callable[[Mapping[str, int]], float] | None = None,
) -> Choice:
    """The options that lower the loss most within the limits, or that reach them with the least harm.

    Where options add units, those with a gain are chosen as long as every limit is kept; where they remove units, as
    few and harmless ones as lead the model into its budget. Costs are the true ones at the sizes chosen so far: what a
    unit costs changes with the neighbouring axes.

    Args:
        options: what can be chosen, at most one per axis and item; all add units or all remove some.
        graph: of the model as it is.
        limits: what must be kept.
        solver: "greedy", the best gain per cost first: with one budget and linear costs as good as a linear program up
            to its one fractional item. "exact", the best choice under costs taken as linear, to 0.01 %, made again
            until its true cost fits, or the greedy one where that is better; needs scipy, and up to minutes.
        latency: seconds of a forward pass by the sizes of all axes, such as a ``LatencyTable``; for budgets with a
            latency.

    Returns:
        The choice; empty where no option has a gain, or the model is small enough. The same arguments give the same
        choice: of equals the axis that comes first in the graph is taken, then the item whose option comes first.

    Raises:
        ArgumentError: an option makes no sense; the solver does not exist, lacks scipy, or cannot round sizes.
        BudgetError: limits make no sense, or cannot be kept.
        GraphError: an option's axis is not in the graph or frozen.
    """
    if solver not in get_args(Solver):
        raise ArgumentError(f"solver must be one of {', '.join(get_args(Solver))}, not {solver!r}")
    given = [Option(*option) for option in options]
    sign = direction(given)
    _check_names(limits, graph)
    if latency is not None and not callable(latency):
        raise ArgumentError(f"latency must be a function of sizes by axis name that gives seconds, not {latency!r}")
    problem = Problem.of(given, graph, limits, sign or 1, latency)
    start = Progress(problem)
    if sign >= 0:
        _refuse_growth(start)
    found, bound = start, None
    if given and (sign > 0 or start.exceeded):
        found, bound = _solved(problem, solver)
        if found.exceeded:
            _refuse_pruning(found)
    sizes = {name: now for name, now, was in zip(problem.names, found.sizes, problem.sizes, strict=True) if now != was}
    return Choice(
        options=found.options,
        sizes=sizes,
        before=graph.cost(),
        after=graph.cost(sizes),
        gain=math.fsum(option.gain for option in found.options),
        seconds=None if latency is None else _seconds(latency, graph, sizes),
        bound=bound,
    )


def _solved(problem: Problem, solver: Solver) -> tuple[Progress, float | None]:
    """The best choice that the solver knows, and its bound."""
    polish = fill if problem.sign > 0 else spare
    best = greedy(problem)
    if best.exceeded:
        best = greedy(problem, by_cost=True)
    polish(best)
    if solver == "greedy":
        return best, None
    progress, bound = exact(problem, best)
    if progress is not None:
        polish(progress)
        if best.exceeded or progress.gain < best.gain:
            best = progress
    return best, bound


def _check_names(limits: Limits, graph: Graph) -> None:
    """Names in limits mean something even where no option is concerned."""
    names = [axis.name for axis in graph]
    limits.widths_of(graph, names)
    limits.multiples_of(graph, names)


def _refuse_growth(start: Progress) -> None:
    excess = _excess(start.problem, start.values)
    if excess is not None:
        raise BudgetError(f"the budget is exceeded already, and no option shrinks the model: {excess}")


def _refuse_pruning(found: Progress) -> None:
    problem = found.problem
    least = [min(size, low) for size, (low, _) in zip(problem.sizes, problem.widths, strict=True)]
    floor = _excess(problem, [bound.quantity.value(least) for bound in problem.bounds])
    if floor is not None:
        raise BudgetError(f"the minimum widths contradict the budget: at them the model has {floor}")
    excess = _excess(problem, found.values)
    raise BudgetError(f"the budget cannot be kept with these options within the limits: what is left has {excess}")


def _excess(problem: Problem, values: Sequence[float]) -> str | None:
    """What is too much, and by how much; None where nothing is."""
    for bound, value in zip(problem.bounds, values, strict=True):
        if value > bound.high:
            return f"{_number(value)} {bound.name}, more than {_number(bound.high)}"
    return None


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def _seconds(
    latency: Callable[[Mapping[str, int]], float], graph: Graph, sizes: Mapping[str, int]
) -> tuple[float, float]:
    present = {axis.name: axis.size for axis in graph}
    return float(latency(present)), float(latency({**present, **sizes}))
