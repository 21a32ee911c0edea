"""What makes no sense is refused in one sentence."""

import math
from typing import Any

import pytest

from netsculpt.choice import Limits, Option, choose
from netsculpt.edit import Budget
from netsculpt.errors import ArgumentError, BudgetError, GraphError
from netsculpt.graph import Cost
from tests.choice.problems import chain, growth, pruning

GRAPH = chain(6, 8, 7, 4)
GROW, PRUNE = growth(GRAPH, 0), pruning(GRAPH, 0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"budget": 7}, "budget of limits must be a Budget or several, not 7"),
        ({"budget": "+10%"}, "budget of limits must be a Budget or several, not '\\+10%'"),
        ({"groups": {"g": ("0", Budget(params=3))}}, "group 'g' of limits must be a sequence of axis names"),
        ({"groups": {"g": (["0"], 3)}}, "group 'g' of limits must have a Budget of params or macs, not 3"),
        ({"groups": {"g": (["0"], Budget(latency=3))}}, "group 'g' of limits must have a Budget of params or macs"),
        ({"groups": {"g": (["0"], Budget(macs="+3%"))}}, "say '10%', without a sign, not '\\+3%'"),
        ({"units": -1}, "units of limits must be a whole number, at least 0, or None, not -1"),
        ({"widths": {"0": (0, None)}}, "a width of '0' must be a whole number above 0 or None, not 0"),
        ({"widths": {"0": (4, 3)}}, "the minimum width of '0', 4, is above its maximum, 3"),
        ({"round_to": 0}, "round_to must be a whole number above 0, not 0"),
        ({"round_to": {"0": True}}, "round_to must be a whole number above 0, not True"),
    ],
)
def test_limits(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ArgumentError, match=sentence):
        Limits(**arguments)


@pytest.mark.parametrize("options", [GROW, PRUNE, []], ids=["growing", "pruning", "nothing"])
@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(widths={"layer*": (1, 2)}), "'layer\\*' in widths of limits matches no axis of the graph"),
        (Limits(round_to={"x": 2}), "'x' in round_to of limits matches no axis"),
        (Limits(groups={"g": (["0", "x"], Budget(params=9))}), "'x' in group 'g' of limits matches no axis"),
        (Limits(Budget(latency=1)), "a budget with latency needs the argument latency"),
        (Limits(widths={"*": (4, None), "0": (None, 3)}), "the minimum width of '0', 4, is above its maximum, 3"),
    ],
)
def test_limits_of_a_graph(options: list[Option], limits: Limits, sentence: str) -> None:
    with pytest.raises(BudgetError, match=sentence):
        choose(options, GRAPH, limits)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (Option("0", 3, 1, math.nan), r"the gain of Option\(axis='0', item=3, units=1, gain=nan\) must be a finite"),
        (Option("0", 3, 1, -math.inf), "must be a finite number"),
        (Option("0", 3, 0, -1.0), "units of Option.* must be a whole number other than 0"),
        (Option("0", 3, True, -1.0), "units of Option.* must be a whole number other than 0"),
        (Option("0", 3, -1, -1.0), "the gain of Option.* must be at least 0"),
        (Option("0", 3, -1, 1.0), "options must all add units or all remove some"),
    ],
)
def test_options(option: Option, sentence: str) -> None:
    with pytest.raises(ArgumentError, match=sentence):
        choose([GROW[0], option], GRAPH, Limits(Budget(params="+10%")))


def test_axes_are_there_and_can_change() -> None:
    with pytest.raises(GraphError, match="there is no axis 'x'"):
        choose([Option("x", 0, 1, -1.0)], GRAPH, Limits())
    frozen = next(axis.name for axis in GRAPH if axis.frozen)
    with pytest.raises(GraphError, match=f"the units of '{frozen}' cannot be changed: "):
        choose([Option(frozen, 0, 1, -1.0)], GRAPH, Limits())


@pytest.mark.parametrize("options", [GROW, []], ids=["growing", "nothing"])
def test_a_model_over_its_budget_needs_options_that_shrink_it(options: list[Option]) -> None:
    with pytest.raises(
        BudgetError, match="exceeded already, and no option shrinks the model: 151 parameters, more than"
    ):
        choose(options, GRAPH, Limits(Budget(params="50%")))


def test_minimum_widths_may_contradict_a_budget() -> None:
    limits = Limits(Budget(params="50%"), widths={"*": (6, None)})
    with pytest.raises(BudgetError, match="minimum widths contradict the budget: at them the model has 112 parameters"):
        choose(PRUNE, GRAPH, limits)


def test_options_may_be_too_few() -> None:
    with pytest.raises(
        BudgetError, match="with these options within the limits: what is left has 137 parameters, more"
    ):
        choose([Option("0", 1, -1, 0.1)], GRAPH, Limits(Budget(params="50%")))


def test_a_solver_exists() -> None:
    with pytest.raises(ArgumentError, match="solver must be one of greedy, exact, not 'best'"):
        choose(GROW, GRAPH, Limits(), solver="best")  # type: ignore[arg-type]


def test_the_exact_solver_rounds_nothing() -> None:
    with pytest.raises(ArgumentError, match="round_to must be 1 with solver 'exact'"):
        choose(GROW, GRAPH, Limits(Budget(params="+10%"), round_to=2), solver="exact")


def test_the_exact_solver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("netsculpt.choice.exact.import_module", missing)
    with pytest.raises(ArgumentError, match=r"needs scipy: install it with pip install 'netsculpt\[exact\]'"):
        choose(GROW, GRAPH, Limits(Budget(params="+10%")), solver="exact")
    assert choose(GROW, GRAPH, Limits(Budget(params="+10%"))).options


def test_costs_tell_no_seconds() -> None:
    budget = Budget(params=300, latency="80%")
    assert budget.seconds(0.5) == pytest.approx(0.4)
    assert Budget(params=300).seconds(0.5) is None
    assert budget.limits(Cost(1000, 50)) == (300, 50)
    with pytest.raises(BudgetError, match="latency of a budget must be None here"):
        budget.allows(Cost(1, 1), Cost(1000, 50))
    with pytest.raises(BudgetError, match="latency of a budget must be a number or a percentage"):
        Budget(latency="fast")
