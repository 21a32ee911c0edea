"""Pruning in several rounds: budgets on the way to a budget."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from netsculpt.arguments import require_count
from netsculpt.edit import Budget
from netsculpt.errors import ArgumentError, BudgetError
from netsculpt.graph import Graph

Course: TypeAlias = Literal["linear", "geometric"]


def steps(graph: Graph, budget: Budget, rounds: int, course: Course = "linear") -> list[Budget]:
    """Budgets for as many rounds of pruning, in numbers, from what the model is to what it is to be.

        for step in steps(sculptor.graph, Budget(macs="50%"), 5):
            stats = sculptor.measure(loader, loss_fn)
            sculptor.apply(prune_by(stats, step, "taylor"))
            train(model, optimizer)

    Args:
        graph: of the model before the first round.
        budget: after the last round; at most what the model is.
        rounds: how many, at least 1.
        course: ``"linear"``, every round removes as much; ``"geometric"``, every round leaves the same fraction.

    Returns:
        One budget per round; the last one is ``budget`` in numbers.

    Raises:
        ArgumentError: ``rounds`` or ``course`` makes no sense.
        BudgetError: the budget bounds the latency, which the graph does not tell, or is more than the model is.
    """
    require_count("rounds", rounds)
    if course not in get_args(Course):
        raise ArgumentError(f"course must be one of {', '.join(get_args(Course))}, not {course!r}")
    if budget.latency is not None:
        raise BudgetError("latency of a budget must be None here: the graph does not tell the seconds to start from")
    present = graph.cost()
    last = budget.limits(present)
    for name in ("params", "macs"):
        if getattr(last, name) > getattr(present, name):
            raise BudgetError(f"{name} of the budget must be at most the model's {getattr(present, name):,}")

    def at(name: str, fraction: float) -> int | None:
        if getattr(budget, name) is None:
            return None
        start, end = getattr(present, name), getattr(last, name)
        return round(start + (end - start) * fraction if course == "linear" else start * (end / start) ** fraction)

    return [
        Budget(params=at("params", number / rounds), macs=at("macs", number / rounds))
        for number in range(1, rounds + 1)
    ]
