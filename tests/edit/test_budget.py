"""Budgets: numbers or percentages, kept by the smallest ratio that keeps them."""

import pytest
import torch
from torch import nn

from netsculpt.edit import Budget, magnitude, uniform_pruning
from netsculpt.errors import ArgumentError, BudgetError
from netsculpt.graph import Graph, trace
from netsculpt.graph.costs import Cost

PRESENT = Cost(params=1000, macs=50_000)


@pytest.mark.parametrize(
    ("given", "limit"), [(300, 300), (2.5e3, 2500), ("60%", 600), ("+10%", 1100), (" -40 % ", 600), ("12.5%", 125)]
)
def test_amounts(given: float | str, limit: int) -> None:
    assert Budget(params=given).limits(PRESENT) == (limit, 50_000)


@pytest.mark.parametrize("given", ["60", "sixty", 0, -3, True, "-100%", "0%"])
def test_amounts_that_make_no_sense(given: float | str) -> None:
    with pytest.raises(BudgetError, match="params of a budget must be"):
        Budget(params=given)


def test_a_budget_bounds_something() -> None:
    with pytest.raises(BudgetError, match="must bound params or macs"):
        Budget()


def test_every_bound_counts() -> None:
    budget = Budget(params="50%", macs=40_000)
    assert budget.allows(Cost(500, 40_000), PRESENT)
    assert not budget.allows(Cost(501, 40_000), PRESENT)
    assert not budget.allows(Cost(500, 40_001), PRESENT)
    assert Budget(params=10).allows(Cost(10, 10**9), PRESENT)


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 2))


@pytest.fixture
def graph(model: nn.Sequential) -> Graph:
    return trace(model, torch.randn(2, 8))


@pytest.mark.parametrize("budget", [Budget(params="50%"), Budget(macs="30%"), Budget(params=700, macs=600)], ids=str)
def test_the_plan_keeps_the_budget_and_wastes_little(model: nn.Sequential, graph: Graph, budget: Budget) -> None:
    plan = uniform_pruning(graph, magnitude(model, graph), budget=budget)
    assert plan.before is not None and plan.after is not None
    assert budget.allows(plan.after, plan.before)
    larger = {edit.axis: len(edit.keep) + 1 for edit in plan.edits}
    assert not budget.allows(graph.cost(larger), plan.before), "a unit more on every axis would be too much"


def test_what_cannot_be_kept_is_said(model: nn.Sequential, graph: Graph) -> None:
    with pytest.raises(BudgetError, match="one unit of every axis takes"):
        uniform_pruning(graph, magnitude(model, graph), budget=Budget(params=5))


@pytest.mark.parametrize("both", [{}, {"pruning_ratio": 0.5, "budget": Budget(params=10)}], ids=["neither", "both"])
def test_a_ratio_or_a_budget(model: nn.Sequential, graph: Graph, both: dict[str, float]) -> None:
    with pytest.raises(ArgumentError, match="either a pruning_ratio or a budget"):
        uniform_pruning(graph, magnitude(model, graph), **both)
