"""Residual and attention graphs, whose axes occur in many products: what is counted is what the graph counts."""

import functools
import random

import pytest

from netsculpt.choice import Limits, Option, choose
from netsculpt.choice.quantities import Counted, costs
from netsculpt.edit import Budget
from netsculpt.graph import Graph, trace
from tests.architectures import arguments
from tests.architectures.core import FACTORIES

NAMES = ["resnet_basic", "gpt2", "densenet"]


@functools.cache
def graph_of(name: str) -> Graph:
    model, inputs = FACTORIES[name]()
    args, kwargs = arguments(inputs)
    return trace(model, args, kwargs)


@pytest.mark.parametrize("name", NAMES)
def test_polynomials_are_the_cost(name: str) -> None:
    graph = graph_of(name)
    names = [axis.name for axis in graph.sculptable]
    now = [graph[each].size for each in names]
    r = random.Random(0)
    quantities = [Counted(polynomial) for polynomial in costs(graph, names)]
    values = [quantity.value(now) for quantity in quantities]
    assert tuple(values) == graph.cost()
    for _ in range(20):
        axis, units = r.randrange(len(names)), r.randint(1, 5)
        values = [quantity.after(now, value, axis, units) for quantity, value in zip(quantities, values, strict=True)]
        now[axis] += units
        assert tuple(values) == graph.cost(dict(zip(names, now, strict=True)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("budget", [Budget(params="+20%"), Budget(params="+30%", macs="+15%")], ids=str)
def test_growing(name: str, budget: Budget) -> None:
    graph = graph_of(name)
    r = random.Random(1)
    options = [Option(axis.name, i, 1, -r.random()) for axis in graph.sculptable for i in range(min(axis.size, 12))]
    choice = choose(options, graph, Limits(budget))
    assert choice.after == graph.cost(choice.sizes)
    assert budget.allows(choice.after, choice.before)
    assert choice.options
    for option in set(options) - set(choice.options):
        one_more = {**choice.sizes, option.axis: choice.sizes.get(option.axis, graph[option.axis].size) + 1}
        assert not budget.allows(graph.cost(one_more), choice.before)


@pytest.mark.parametrize("name", NAMES)
def test_pruning(name: str) -> None:
    graph = graph_of(name)
    r = random.Random(2)
    options = [Option(axis.name, i, -1, r.random()) for axis in graph.sculptable for i in range(axis.size)]
    budget = Budget(params="60%", macs="70%")
    choice = choose(options, graph, Limits(budget))
    assert choice.after == graph.cost(choice.sizes)
    assert budget.allows(choice.after, choice.before)
    for option in choice.options:
        one_back = {**choice.sizes, option.axis: choice.sizes[option.axis] + 1}
        assert not budget.allows(graph.cost(one_back), choice.before)


def test_the_graph_is_left_as_it_is() -> None:
    graph = graph_of("resnet_basic")
    before = graph.cost()
    test_growing("resnet_basic", Budget(params="+20%"))
    assert graph.cost() == before
