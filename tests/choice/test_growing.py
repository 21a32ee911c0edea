"""Growing: the most gain that fits, never more than fits."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from netsculpt.choice import Limits, Option, choose
from netsculpt.choice.choosing import Solver
from netsculpt.edit import Budget
from netsculpt.graph import Graph
from tests.choice.problems import after, branches, chain, gain, growth, selections, sizes

SOLVERS: tuple[Solver, ...] = ("greedy", "exact")


def best(graph: Graph, options: list[Option], budget: Budget) -> float:
    """By trying everything."""
    present = graph.cost()
    return min(gain(each) for each in selections(options) if budget.allows(after(graph, each), present))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 90), st.booleans())
def test_exact_is_the_best_of_all_where_costs_are_linear(seed: int, room: int, macs: bool) -> None:
    graph = branches()
    options = growth(graph, seed, per_axis=3)
    present = graph.cost()
    budget = Budget(params=present.params + room, macs=present.macs + 40 if macs else None)
    choice = choose(options, graph, Limits(budget), solver="exact")
    assert choice.gain == pytest.approx(best(graph, options, budget), abs=1e-9)
    assert choice.bound is not None
    assert choice.bound <= choice.gain + 1e-9
    assert budget.allows(choice.after, present)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 80))
def test_exact_chooses_among_numbers_of_copies(seed: int, room: int) -> None:
    graph = branches()
    options = growth(graph, seed, per_axis=2, copies=(1, 2, 3))
    budget = Budget(params=graph.cost().params + room)
    choice = choose(options, graph, Limits(budget), solver="exact")
    assert choice.gain == pytest.approx(best(graph, options, budget), abs=1e-9)
    assert len({(option.axis, option.item) for option in choice.options}) == len(choice.options)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 120), st.sampled_from([(1,), (1, 2, 3)]))
def test_what_multiplies_is_counted_as_it_is(seed: int, room: int, copies: tuple[int, ...]) -> None:
    graph = chain(3, 4, 5, 3)
    options = growth(graph, seed, per_axis=4 if len(copies) == 1 else 2, copies=copies)
    budget = Budget(params=graph.cost().params + room)
    optimum = best(graph, options, budget)
    chosen = {solver: choose(options, graph, Limits(budget), solver=solver) for solver in SOLVERS}
    for choice in chosen.values():
        assert choice.after == after(graph, choice.options) == graph.cost(choice.sizes)
        assert budget.allows(choice.after, choice.before)
        assert optimum <= choice.gain + 1e-9
        assert choice.gain <= 0
    exact = chosen["exact"]
    assert exact.bound is not None
    assert exact.bound <= optimum + 1e-9, "linear costs are a relaxation"
    assert exact.gain <= chosen["greedy"].gain + 1e-9


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 150))
def test_greedy_is_the_linear_program_up_to_its_fractional_item(seed: int, room: int) -> None:
    graph = branches()
    options = [option for option in growth(graph, seed, per_axis=6) if option.gain < 0]
    present = graph.cost().params
    choice = choose(options, graph, Limits(Budget(params=present + room)))
    costs = [after(graph, [option]).params - present for option in options]
    relaxed = linprog([option.gain for option in options], [costs], [room], bounds=(0, 1))
    whole = {option for option, x in zip(options, relaxed.x, strict=True) if x > 1 - 1e-9}
    fractional = [option for option, x in zip(options, relaxed.x, strict=True) if 1e-9 < x < 1 - 1e-9]
    assert len(fractional) <= 1
    assert whole <= set(choice.options)
    assert relaxed.fun - 1e-9 <= choice.gain
    assert choice.gain <= relaxed.fun - sum(option.gain for option in fractional) + 1e-9


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 200), st.sampled_from([(1,), (1, 2, 4)]), st.sampled_from(SOLVERS))
def test_nothing_that_is_left_over_would_fit(seed: int, room: int, copies: tuple[int, ...], solver: Solver) -> None:
    graph = chain(6, 8, 7, 4)
    options = growth(graph, seed, per_axis=6, copies=copies)
    budget = Budget(params=graph.cost().params + room, macs=graph.cost().macs + room)
    choice = choose(options, graph, Limits(budget), solver=solver)
    held = {(option.axis, option.item): option for option in choice.options}
    for option in options:
        before = held.get((option.axis, option.item))
        if option.gain < (before.gain if before else 0):
            others = [each for each in choice.options if each is not before]
            assert not budget.allows(after(graph, [*others, option]), choice.before)


def test_copies_are_upgraded_by_what_more_of_them_bring() -> None:
    graph = branches()
    first = [Option("enter.0", "a", 1, -1.0), Option("enter.0", "a", 2, -1.1), Option("enter.0", "a", 3, -2.4)]
    options = [*first, Option("enter.0", "b", 1, -0.9)]
    present = graph.cost().params
    chosen = [choose(options, graph, Limits(Budget(params=present + 6 * k))).options for k in (1, 2, 3, 4)]
    assert chosen[0] == (first[0],)
    assert chosen[1] == (first[0], options[3])
    assert chosen[2] == (options[3], first[1]), "what fits, though on no hull"
    assert chosen[3] == (options[3], first[2])


@pytest.mark.parametrize("solver", SOLVERS)
def test_several_budgets_hold_at_once(solver: Solver) -> None:
    graph = chain(6, 8, 7, 4)
    options = growth(graph, 3, per_axis=20)
    alone = [Budget(params="+60%"), Budget(macs="+30%")]
    together = choose(options, graph, Limits(alone), solver=solver)
    assert all(budget.allows(together.after, together.before) for budget in alone)
    assert together == choose(options, graph, Limits(Budget(params="+60%", macs="+30%")), solver=solver)
    assert not alone[1].allows(choose(options, graph, Limits(alone[0]), solver=solver).after, together.before)


@pytest.mark.parametrize("solver", SOLVERS)
def test_groups_have_budgets_of_their_own(solver: Solver) -> None:
    graph = branches()
    options = [Option(f"enter.{k}", i, 1, -1.0 - k - i / 10) for k in range(3) for i in range(4)]
    groups = {"small": (["enter.0", "enter.1"], Budget(params=20)), "large": (["*.2"], Budget(macs="50%"))}
    choice = choose(options, graph, Limits(groups=groups), solver=solver)
    grown = sizes(graph, choice.options)
    assert grown == {"enter.1": 6, "enter.2": 6}, "18 of 20 parameters, and half of what lies on the third axis"


@pytest.mark.parametrize("solver", SOLVERS)
def test_units_and_widths_are_capped(solver: Solver) -> None:
    graph = chain(6, 8, 7, 4)
    options = [Option(name, i, 1, -1.0 - i) for name in ("0", "2") for i in range(5)]
    assert len(choose(options, graph, Limits(units=3), solver=solver).options) == 3
    widths = {"0": (None, 10), "*": (None, 9)}
    assert choose(options, graph, Limits(widths=widths), solver=solver).sizes == {"0": 9, "2": 9}
    outside = choose(options, graph, Limits(widths={"0": (2, 5)}), solver=solver)
    assert outside.sizes == {"2": 12}, "what is too wide already does not grow"


def test_sizes_end_on_multiples() -> None:
    graph = chain(6, 8, 7, 4)
    options = [Option(name, i, 1, -1.0 - i) for name in ("0", "2") for i in range(10)]
    everything = choose(options, graph, Limits(round_to={"*": 4, "2": 8}))
    assert everything.sizes == {"0": 16, "2": 16}
    by_axis = [option for option in everything.options if option.axis == "0"]
    assert [option.item for option in by_axis] == [9, 8, 7, 6, 5, 4, 3, 2]
    little = choose(options, graph, Limits(Budget(params="+40%"), round_to=4))
    assert all(size % 4 == 0 for size in little.sizes.values())
    assert little.sizes
    assert little.after.params <= 1.4 * little.before.params


def test_of_equals_the_first_axis_and_item_come_first() -> None:
    graph = branches()
    options = [Option(f"enter.{k}", i, 1, -float(cost)) for k, cost in ((2, 13), (0, 6)) for i in "zya"]
    choice = choose(options, graph, Limits(Budget(params=graph.cost().params + 25)))
    assert [(option.axis, option.item) for option in choice.options] == [
        ("enter.0", "z"),
        ("enter.0", "y"),
        ("enter.0", "a"),
    ]


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_same_arguments_give_the_same_choice(solver: Solver) -> None:
    graph = chain(6, 8, 7, 4)
    options = growth(graph, 5, per_axis=12, copies=(1, 2))
    limits = Limits(Budget(params="+50%"), units=9)
    first, second = (choose(iter(options), graph, limits, solver=solver) for _ in range(2))
    assert first == second
    assert first.options


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("options", [[], [Option("0", 1, 1, 0.0), Option("2", 1, 2, 0.5)]], ids=["none", "no gain"])
def test_without_a_gain_nothing_is_chosen(options: list[Option], solver: Solver) -> None:
    graph = chain(6, 8, 7, 4)
    choice = choose(options, graph, Limits(Budget(params="+50%")), solver=solver)
    assert (choice.options, choice.sizes, choice.gain) == ((), {}, 0)
    assert choice.before == choice.after == graph.cost()


def test_what_costs_nothing_comes_in_the_order_of_its_gain() -> None:
    graph = branches()
    options = [Option("enter.0", i, 1, -g) for i, g in enumerate((0.1, 0.3, 0.2))]
    chosen = choose(options, graph, Limits()).options
    assert [option.item for option in chosen] == [1, 2, 0]
    assert all(a.gain <= b.gain for a, b in itertools.pairwise(chosen))
