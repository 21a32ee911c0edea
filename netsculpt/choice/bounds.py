"""Limits as bounds on quantities."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from netsculpt.choice.limits import Limits, matching
from netsculpt.choice.quantities import Called, Counted, Polynomial, Quantity, assuming, costs
from netsculpt.errors import BudgetError
from netsculpt.graph import Cost, Graph


class Bound(NamedTuple):
    """``low`` ≤ quantity ≤ ``high``.

    Attributes:
        name: for messages, in the plural: "parameters".
        quantity: what is bounded.
        low: minus infinity for none.
        high: infinity for none.
    """

    name: str
    quantity: Quantity
    low: float = -math.inf
    high: float = math.inf


def bounds(
    limits: Limits,
    graph: Graph,
    names: Sequence[str],
    sign: int,
    latency: Callable[[Mapping[str, int]], float] | None,
) -> list[Bound]:
    """What ``limits`` bound when axes called ``names`` change, growing (``sign`` 1) or shrinking (-1).

    Raises:
        BudgetError: a name matches no axis, or there is no latency to judge a budget by.
    """
    polynomials = costs(graph, names)
    found = [*_of_budgets(limits, graph, polynomials), *_of_groups(limits, graph, names, polynomials, sign)]
    seconds = [budget for budget in limits.budgets if budget.latency is not None]
    if seconds and latency is None:
        raise BudgetError("a budget with latency needs the argument latency, such as a measured_latency of the model")
    if seconds and latency is not None:
        measured = Called(latency, names, graph)
        present = measured.value([graph[name].size for name in names])
        for budget in seconds:
            high = budget.seconds(present)
            assert high is not None
            found.append(Bound("seconds", measured, high=high))
    if limits.units is not None:
        units = Counted({(number,): 1 for number in range(len(names))})
        found.append(_change("units", units, [graph[name].size for name in names], limits.units, sign))
    return found


def _of_budgets(limits: Limits, graph: Graph, polynomials: tuple[Polynomial, Polynomial]) -> Iterator[Bound]:
    present = graph.cost()
    params, macs = map(Counted, polynomials)
    for budget in limits.budgets:
        allowed = budget.limits(present)
        if budget.params is not None:
            yield Bound("parameters", params, high=allowed.params)
        if budget.macs is not None:
            yield Bound("multiply-accumulates", macs, high=allowed.macs)


def _of_groups(
    limits: Limits, graph: Graph, names: Sequence[str], polynomials: tuple[Polynomial, Polynomial], sign: int
) -> Iterator[Bound]:
    sizes = [graph[name].size for name in names]
    for group, (patterns, budget) in limits.groups.items():
        axes = {name for pattern in patterns for name in matching(graph, pattern, f"group {group!r}")}
        without = graph.cost(dict.fromkeys(axes, 0))
        present = graph.cost()
        allowed = budget.limits(Cost(present.params - without.params, present.macs - without.macs))
        others = {number: sizes[number] for number, name in enumerate(names) if name not in axes}
        kinds = (("parameters", budget.params, allowed.params), ("multiply-accumulates", budget.macs, allowed.macs))
        for (kind, amount, most), polynomial in zip(kinds, polynomials, strict=True):
            if amount is not None:
                alone = Counted(assuming(polynomial, others))
                yield _change(f"{kind} of group {group!r}", alone, sizes, most, sign)


def _change(name: str, quantity: Counted, sizes: Sequence[int], most: float, sign: int) -> Bound:
    """That a quantity changes by at most so much."""
    present = quantity.value(sizes)
    return Bound(name, quantity, high=present + most) if sign > 0 else Bound(name, quantity, low=present - most)
