"""Measured seconds as a cost."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import nn

from netsculpt.choice import LatencyTable, Limits, Option, choose, measured_latency
from netsculpt.edit import Budget, magnitude, uniform_pruning
from netsculpt.errors import ArgumentError, BudgetError, GraphError
from netsculpt.graph import Graph, trace
from tests.choice.problems import chain, growth, pruning


class Clocked(nn.Module):
    """A clock that a forward pass moves by what its weights weigh."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(3, 8), nn.Linear(8, 6), nn.Linear(6, 2)
        self.now = [0.0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.compiler.is_exporting():
            self.now[0] += 1 + 0.5 * self.first.weight.shape[0] + 0.25 * self.second.weight.shape[0]
        return self.third(self.second(self.first(x).relu()).relu())


@pytest.fixture
def clocked() -> tuple[Clocked, Graph, Callable[[], float]]:
    torch.manual_seed(0)
    model = Clocked()
    graph = trace(model, torch.randn(2, 3))
    return model, graph, lambda: model.now[0]


@pytest.mark.parametrize("block", [0.25, -0.25, 2.0, -0.9, 0.001])
def test_the_table_is_what_the_clock_says(clocked: tuple[Clocked, Graph, Callable[[], float]], block: float) -> None:
    model, graph, clock = clocked
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    table = measured_latency(model, graph, block=block, repeats=3, warmup=1, threads=1, clock=clock)
    assert table.seconds == pytest.approx(1 + 4 + 1.5)
    assert table.slopes == {"first": pytest.approx(0.5), "second": pytest.approx(0.25)}
    assert table({"first": 10, "second": 2}) == pytest.approx(1 + 5 + 0.5)
    assert (table.device, table.threads) == ("cpu", 1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.training
    assert LatencyTable.from_json(table.to_json()) == table


def test_only_the_named_axes_are_measured(clocked: tuple[Clocked, Graph, Callable[[], float]]) -> None:
    model, graph, clock = clocked
    table = measured_latency(model, graph, ["second"], repeats=1, clock=clock)
    assert list(table.slopes) == ["second"]
    assert table({"first": 100}) == table.seconds


def test_real_time_passes() -> None:
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    threads = torch.get_num_threads()
    table = measured_latency(model, trace(model, torch.randn(2, 16)), repeats=3, warmup=1, threads=1)
    assert table.seconds > 0
    assert all(slope >= 0 for slope in table.slopes.values())
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"block": 0}, "block must be a fraction of an axis, above -1 and not 0, not 0"),
        ({"block": -1}, "block must be a fraction"),
        ({"repeats": 0}, "repeats must be at least 1, not 0"),
        ({"warmup": -1}, "warmup must be at least 0, not -1"),
        ({"threads": 0}, "threads must be at least 1, not 0"),
    ],
)
def test_measurements_that_make_no_sense(
    clocked: tuple[Clocked, Graph, Callable[[], float]], arguments: dict[str, float], sentence: str
) -> None:
    with pytest.raises(ArgumentError, match=sentence):
        measured_latency(*clocked[:2], **arguments)  # type: ignore[arg-type]


def test_frozen_axes_are_not_measured(clocked: tuple[Clocked, Graph, Callable[[], float]]) -> None:
    with pytest.raises(GraphError, match="the units of 'third' cannot be changed"):
        measured_latency(*clocked[:2], axes=["third"])


@pytest.mark.parametrize("text", ["{}", "[]", "no", '{"netsculpt_latency": 2}', '{"netsculpt_latency": 1, "x": 0}'])
def test_tables_that_are_none(text: str) -> None:
    with pytest.raises(ArgumentError, match="a latency table must be as to_json wrote it"):
        LatencyTable.from_json(text)


TABLE = LatencyTable(1.0, {"0": 8, "2": 7}, {"0": 0.1, "2": 0.01}, "cpu", 1)


@pytest.mark.parametrize("solver", ["greedy", "exact"])
def test_a_budget_of_seconds(solver: str) -> None:
    graph = chain(6, 8, 7, 4)
    options = [Option(name, i, 1, -1.0 - i / 100) for name in ("0", "2") for i in range(20)]
    limits = Limits([Budget(latency="+25%"), Budget(params="+100%")])
    choice = choose(options, graph, limits, solver=solver, latency=TABLE)  # type: ignore[arg-type]
    assert choice.seconds is not None
    assert choice.seconds == (1.0, TABLE(choice.sizes))
    assert choice.seconds[1] <= 1.25
    assert choice.after.params <= 2 * choice.before.params
    grown = {"0": 8, "2": 7} | dict(choice.sizes)
    assert grown["2"] - 7 > grown["0"] - 8, "a unit of '0' takes ten times as long"


def test_pruning_to_seconds() -> None:
    graph = chain(6, 8, 7, 4)
    choice = choose(pruning(graph, 0), graph, Limits(Budget(latency=0.6)), latency=TABLE)
    assert choice.seconds is not None
    assert choice.seconds[1] <= 0.6
    assert len([option for option in choice.options if option.axis == "0"]) >= 4


def test_any_function_will_do() -> None:
    def in_blocks(sizes: Mapping[str, int]) -> float:
        assert set(sizes) == {axis.name for axis in graph}
        return float(-(-sizes["0"] // 4) + -(-sizes["2"] // 4))

    graph = chain(6, 8, 7, 4)
    choice = choose(growth(graph, 1, per_axis=9), graph, Limits(Budget(latency=5)), latency=in_blocks)
    assert choice.seconds == (4.0, 5.0)
    assert choice.sizes


def test_uniform_pruning_has_no_seconds() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    graph = trace(model, torch.randn(2, 8))
    with pytest.raises(BudgetError, match="latency of a budget must be None here: params and macs do not tell seconds"):
        uniform_pruning(graph, magnitude(model, graph), budget=Budget(params="90%", latency="50%"))
