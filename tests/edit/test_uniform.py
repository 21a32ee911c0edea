"""Uniform pruning: how many units of an axis go, and which."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from netsculpt.edit import Budget, apply, magnitude, uniform_pruning
from netsculpt.errors import ArgumentError, BudgetError, GraphError
from netsculpt.graph import Axis, Graph, trace
from tests.edit.models import Attention, Chain, Images, Residual, made


def wide(*sizes: int) -> tuple[nn.Module, Graph]:
    torch.manual_seed(0)
    layers = [nn.Linear(a, b) for a, b in zip((4, *sizes), (*sizes, 2), strict=True)]
    model = nn.Sequential(*(part for layer in layers for part in (layer, nn.Tanh()))).double()
    return model, trace(model, torch.randn(3, 4).double())


def rising(axis: Axis) -> torch.Tensor:
    return torch.arange(axis.size).double()


@pytest.mark.parametrize(
    ("size", "ratio", "round_to", "left"),
    [
        (10, 0.5, 1, 5),
        (10, 0.3, 1, 7),
        (100, 0.29, 1, 71),  # 100 * 0.29 is 28.999999999999996
        (10, 0.99, 1, 1),
        (10, 0.55, 4, 8),
        (10, 0.9, 4, 4),
        (10, 0.5, 5, 5),
        (3, 0.5, 8, 3),
        (17, 0.5, 8, 16),
    ],
)
def test_how_many_units_stay(size: int, ratio: float, round_to: int, left: int) -> None:
    _, graph = wide(size, 20)
    plan = uniform_pruning(graph, rising, pruning_ratio=ratio, round_to=round_to)
    kept = {edit.axis: edit.keep.tolist() for edit in plan.edits}
    assert kept.get("0", list(range(size))) == list(range(size - left, size))


def test_of_equals_the_first_stay_and_order_does_not_change() -> None:
    _, graph = wide(8)
    worth = torch.tensor([1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 0.0, 2.0])
    (edit,) = uniform_pruning(graph, {"0": worth}, pruning_ratio=0.5).edits
    assert edit.keep.tolist() == [1, 3, 5, 7]
    (edit,) = uniform_pruning(graph, {"0": torch.ones(8, dtype=torch.int64)}, pruning_ratio=0.5).edits
    assert edit.keep.tolist() == [0, 1, 2, 3]
    (edit,) = uniform_pruning(graph, {"0": worth.bfloat16().requires_grad_()}, pruning_ratio=0.25).edits
    assert edit.keep.tolist() == [0, 1, 2, 3, 5, 7]


def test_only_the_axes_that_are_named() -> None:
    _, graph = wide(6, 8)
    plan = uniform_pruning(graph, rising, pruning_ratio=0.5, axes=["2"])
    assert [edit.axis for edit in plan.edits] == ["2"]
    with pytest.raises(GraphError, match="there is no axis '7'"):
        uniform_pruning(graph, rising, pruning_ratio=0.5, axes=["7"])
    with pytest.raises(GraphError, match="the units of '4' cannot be changed"):
        uniform_pruning(graph, rising, pruning_ratio=0.5, axes=["4"])


@pytest.mark.parametrize(
    ("importance", "said"),
    [
        ({}, "the importance of '0' must be 6 finite numbers in a tensor, not None"),
        (lambda axis: [1.0] * axis.size, "must be 6 finite numbers in a tensor, not \\[1.0"),
        (lambda axis: torch.ones(axis.size, 1), "must be 6 finite numbers in a tensor, not \\[6, 1\\]"),
        (lambda axis: torch.full((axis.size,), float("nan")), "must be 6 finite numbers, but 6 of them are not"),
    ],
)
def test_an_importance_that_is_none(importance: object, said: str) -> None:
    _, graph = wide(6)
    with pytest.raises(ArgumentError, match=said):
        uniform_pruning(graph, importance, pruning_ratio=0.5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "needs either a pruning_ratio or a budget"),
        ({"pruning_ratio": 0.5, "budget": Budget(params="50%")}, "needs either a pruning_ratio or a budget"),
        ({"pruning_ratio": 1.0}, "pruning_ratio must be a fraction of units from 0 to below 1, not 1.0"),
        ({"pruning_ratio": -0.1}, "pruning_ratio must be a fraction"),
        ({"pruning_ratio": float("nan")}, "pruning_ratio must be a fraction"),
        ({"pruning_ratio": 0.5, "round_to": 0}, "round_to must be a whole number above 0, not 0"),
        ({"pruning_ratio": 0.5, "round_to": 1.5}, "round_to must be a whole number above 0, not 1.5"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, object], said: str) -> None:
    _, graph = wide(6)
    with pytest.raises(ArgumentError, match=said):
        uniform_pruning(graph, rising, **settings)


def test_where_nothing_can_go_is_an_error_that_says_why() -> None:
    _, graph = wide(6)
    with pytest.raises(GraphError, match=r"a pruning_ratio of 0\.1 removes no unit: rounded to whole units"):
        uniform_pruning(graph, rising, pruning_ratio=0.1)
    with pytest.raises(GraphError, match="a pruning_ratio of 0 removes no unit"):
        uniform_pruning(graph, rising, pruning_ratio=0)
    model = nn.Linear(4, 2)
    with pytest.raises(GraphError, match="no axis of the model can change"):
        uniform_pruning(trace(model, torch.ones(3, 4)), rising, pruning_ratio=0.5)
    model, _ = wide(6)
    graph = trace(model, torch.ones(3, 4).double(), ignored_layers=["0"])
    with pytest.raises(GraphError, match=r"no axis of the model can change .*0 is in ignored_layers"):
        uniform_pruning(graph, rising, pruning_ratio=0.5)


def test_magnitude_is_the_norm_of_what_makes_a_unit() -> None:
    model, graph = made(Residual)
    expected = torch.cat([model.start.weight, model.back.weight], 1).detach().norm(dim=1)
    torch.testing.assert_close(magnitude(model, graph)(graph["start"]), expected)
    model, graph = made(Images)
    torch.testing.assert_close(
        magnitude(model, graph)(graph["conv1"]), model.conv1.weight.detach().flatten(1).norm(dim=1)
    )
    model, graph = made(Attention)
    (heads,) = (axis for axis in graph.sculptable if axis.name.startswith("qkv") and axis.size == 2)
    expected = model.qkv.weight.detach().reshape(3, 2, 4, -1).movedim(1, 0).flatten(1).norm(dim=1)
    torch.testing.assert_close(magnitude(model, graph)(heads), expected)


def test_magnitude_of_a_unit_with_several_slices() -> None:
    """A head is a block of rows in each of three matrices."""
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(2, 3, 8)
    graph = trace(attention, (x, x, x), {"need_weights": False})
    for axis in graph.axes:
        norms = magnitude(attention, graph)(axis)
        assert norms.shape == (axis.size,)
        weights = [attention.get_parameter(name) for name in {place.tensor for place in axis.producers}]
        total = torch.stack([weight.detach().double().square().sum() for weight in weights]).sum()
        torch.testing.assert_close(norms.square().sum(), total)


@pytest.mark.parametrize("kind", [Chain, Residual, Attention, Images])
def test_a_budget_is_kept_and_hardly_undercut(kind: type[nn.Module]) -> None:
    model, graph = made(kind)
    plan = uniform_pruning(graph, magnitude(model, graph), budget=Budget(params="60%"))
    assert plan.before is not None and plan.after is not None
    outcome = apply(plan, model, graph=graph)
    assert outcome.after.params <= 0.6 * outcome.before.params
    assert 0 < sum(parameter.numel() for parameter in model.parameters()) == outcome.after.params


def test_a_budget_that_cannot_be_kept() -> None:
    model, graph = made(Chain)
    with pytest.raises(BudgetError, match="cannot be kept: one unit of every axis takes"):
        uniform_pruning(graph, magnitude(model, graph), budget=Budget(params=3))
