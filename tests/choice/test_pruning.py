"""Pruning: into the budget, with little harm, and not a unit more."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsculpt.choice import Limits, Option, choose
from netsculpt.choice.choosing import Solver
from netsculpt.edit import Budget
from netsculpt.errors import BudgetError
from netsculpt.graph import Graph
from tests.choice.problems import after, branches, chain, gain, pruning, selections, sizes

SOLVERS: tuple[Solver, ...] = ("greedy", "exact")


def best(graph: Graph, options: list[Option], budget: Budget) -> float:
    """By trying everything that leaves every axis a unit."""
    present = graph.cost()
    possible = (each for each in selections(options) if all(size > 0 for size in sizes(graph, each).values()))
    return min(gain(each) for each in possible if budget.allows(after(graph, each), present))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_exact_is_the_best_of_all_where_costs_are_linear(seed: int, less: int) -> None:
    graph = branches()
    options = pruning(graph, seed)
    budget = Budget(params=graph.cost().params - less)
    choice = choose(options, graph, Limits(budget), solver="exact")
    assert choice.gain == pytest.approx(best(graph, options, budget), abs=1e-9)
    assert choice.bound is not None
    assert choice.bound <= choice.gain + 1e-9


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(30, 95))
def test_what_multiplies_is_counted_as_it_is(seed: int, percent: int) -> None:
    graph = chain(3, 5, 6, 3)
    options = pruning(graph, seed)
    budget = Budget(params=f"{percent}%", macs="90%")
    optimum = best(graph, options, budget)
    chosen = {solver: choose(options, graph, Limits(budget), solver=solver) for solver in SOLVERS}
    for choice in chosen.values():
        assert choice.after == after(graph, choice.options) == graph.cost(choice.sizes)
        assert budget.allows(choice.after, choice.before)
        assert optimum <= choice.gain + 1e-9
        for option in choice.options:
            others = [each for each in choice.options if each is not option]
            assert not budget.allows(after(graph, others), choice.before), "it need not have gone"
    exact = chosen["exact"]
    assert exact.bound is not None
    assert exact.bound <= optimum + 1e-9
    assert exact.gain <= chosen["greedy"].gain + 1e-9


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 80))
def test_greedy_is_the_best_up_to_one_option_where_costs_are_linear(seed: int, less: int) -> None:
    graph = branches()
    options = pruning(graph, seed)
    budget = Budget(params=graph.cost().params - less)
    greedy, exact = (choose(options, graph, Limits(budget), solver=solver) for solver in SOLVERS)
    assert exact.bound is not None
    assert greedy.gain <= exact.bound + max((option.gain for option in greedy.options), default=0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_model_that_is_small_enough_is_left_alone(solver: Solver) -> None:
    graph = chain(6, 8, 7, 4)
    choice = choose(pruning(graph, 0), graph, Limits(Budget(params="100%")), solver=solver)
    assert (choice.options, choice.after) == ((), graph.cost())


@pytest.mark.parametrize("solver", SOLVERS)
def test_minimum_widths_hold(solver: Solver) -> None:
    graph = chain(6, 8, 7, 4)
    limits = Limits(Budget(params="60%"), widths={"0": (6, None), "2": (3, None)})
    choice = choose(pruning(graph, 1), graph, limits, solver=solver)
    assert ({"0": 8} | dict(choice.sizes))["0"] >= 6
    assert ({"2": 7} | dict(choice.sizes))["2"] >= 3
    without = choose(pruning(graph, 1), graph, Limits(Budget(params="12%")), solver=solver)
    assert min(without.sizes.values()) >= 1


@pytest.mark.parametrize("solver", SOLVERS)
def test_groups_and_units_bound_what_is_taken(solver: Solver) -> None:
    graph = branches()
    options = pruning(graph, 2)
    budget = Budget(params="60%")
    free = choose(options, graph, Limits(budget), solver=solver)
    assert len([option for option in free.options if option.axis == "enter.2"]) > 1
    groups = {"largest": (["enter.2"], Budget(params=13))}
    kept = choose(options, graph, Limits(budget, groups=groups), solver=solver)
    assert len([option for option in kept.options if option.axis == "enter.2"]) <= 1
    fewest = choose(options, graph, Limits(budget, units=len(free.options)), solver=solver)
    assert len(fewest.options) <= len(free.options)
    with pytest.raises(BudgetError, match="cannot be kept with these options within the limits"):
        choose(options, graph, Limits(budget, units=2), solver=solver)


def test_sizes_end_on_multiples() -> None:
    graph = chain(6, 9, 7, 4)
    choice = choose(pruning(graph, 3), graph, Limits(Budget(params="50%"), round_to=4))
    assert choice.sizes
    assert all(size % 4 == 0 for size in choice.sizes.values())
    assert choice.after.params <= 0.5 * choice.before.params


def test_a_unit_that_may_lose_more_or_less() -> None:
    graph = branches()
    options = [Option("enter.2", "all", -1, 0.4), Option("enter.2", "all", -2, 0.5), Option("enter.0", "x", -1, 0.45)]
    present = graph.cost().params
    for solver in SOLVERS:
        little = choose(options, graph, Limits(Budget(params=present - 20)), solver=solver)
        assert little.options == (options[1],)
    little = choose(options, graph, Limits(Budget(params=present - 6)), solver="exact")
    assert little.options == (options[0],)
