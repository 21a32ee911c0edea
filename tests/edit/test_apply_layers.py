"""Layers that come and go, beside edits of axes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn, optim

from netsculpt.edit import (
    InsertLayer,
    Plan,
    Prune,
    RemoveLayer,
    Split,
    apply,
    undo,
)
from netsculpt.errors import EditError
from netsculpt.graph import trace
from tests.edit.models import IMAGES, ROWS, Chain, Images, answers, edited, loss, made
from tests.edit.photograph import Photograph


def trained(model: nn.Module, x: Tensor = ROWS) -> optim.Optimizer:
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    loss(model, x).backward()
    optimizer.step()
    return optimizer


def identity(size: int) -> nn.Linear:
    layer = nn.Linear(size, size).double()
    with torch.no_grad():
        layer.weight.copy_(torch.eye(size))
        layer.bias.zero_()
    return layer


def convolution_identity(channels: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False).double()
    nn.init.dirac_(layer.weight)
    return layer


def test_layers_that_are_the_identity_are_inserted_exactly() -> None:
    model, graph = made(Images)
    before = answers(model, IMAGES)
    norm = nn.BatchNorm2d(8, eps=0.0).double()
    outcome = edited(model, graph, InsertLayer("conv1", convolution_identity(6)), InsertLayer("conv2", norm))
    assert outcome.difference == 0
    assert outcome.after.params == outcome.before.params + 6 * 6 * 9 + 16
    torch.testing.assert_close(answers(model, IMAGES), before, rtol=0, atol=1e-12)
    edited(model, graph, InsertLayer("head", identity(2)))
    torch.testing.assert_close(answers(model, IMAGES), before, rtol=0, atol=1e-12)
    assert len(graph["conv1"].places) > 0


def test_a_fresh_norm_is_not_quite_the_identity_and_passes_in_single_precision_only() -> None:
    model, graph = made(Images)
    with pytest.raises(EditError, match="more than rounding"):
        edited(model, graph, InsertLayer("conv1", nn.BatchNorm2d(6).double()))
    model.float()
    assert edited(model, graph, InsertLayer("conv1", nn.BatchNorm2d(6))).difference is not None


def test_axes_are_edited_with_the_layers_and_after_them() -> None:
    model, graph = made(Chain)
    edited(model, graph, Prune("first", [0, 1, 2]), InsertLayer("first", identity(3)))
    assert model.first.inserted.weight.shape == (3, 3)
    assert {"first", "first.inserted", "second"} <= {axis.name for axis in graph}
    assert all(proof.holds for proof in graph.verify(model))
    edited(model, graph, Prune("first.inserted", [2, 0]), Split("first", 1))
    assert model.first.inserted.weight.shape == (2, 4)
    assert model.second.weight.shape == (5, 2)
    undo(model, to=0)
    assert [axis.name for axis in graph] == ["first", "second", "last"]
    assert model.first.weight.shape == (6, 4)
    edited(model, graph, Prune("first", [5]))


def test_a_layer_that_is_no_identity_is_inserted_when_told_and_taken_back() -> None:
    model, graph = made(Chain)
    optimizer = trained(model)
    photograph = Photograph([model], [optimizer])
    plan = Plan.of(graph, [InsertLayer("first", nn.Linear(6, 6).double(), exact=False)])
    assert plan.inexact == ("insert Linear after first is not the identity",)
    assert apply(plan, model, optimizer, graph=graph).difference is None
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 8
    assert undo(model) == "exact"
    photograph.assert_unchanged()


def test_a_removed_layer_is_passed_by() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    graph = trace(model, ROWS)
    plan = Plan.of(graph, [RemoveLayer("1")])
    assert plan.inexact == ("remove 1 is not the identity",)
    outcome = apply(plan, model, graph=graph)
    assert outcome.before.params - outcome.after.params == 42
    torch.testing.assert_close(answers(model), model[3](torch.tanh(model[0](ROWS))).detach())
    edited(model, graph, Prune("0", [1, 2]))
    assert undo(model, to=0) == "exact"
    assert isinstance(model[1], nn.Linear)
    assert {axis.name for axis in graph.sculptable} == {"0", "1"}
