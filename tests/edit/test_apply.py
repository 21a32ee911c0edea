"""``apply`` refuses in a sentence, and then nothing has changed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel

from netsculpt.edit import (
    InsertLayer,
    Plan,
    Prune,
    RemoveLayer,
    Split,
    Transaction,
    Widen,
    apply,
    history,
)
from netsculpt.errors import ArgumentError, EditError, GraphError
from netsculpt.graph import trace
from tests.edit.models import IMAGES, ROWS, Chain, Images, Residual, edited, loss, made
from tests.edit.photograph import Photograph


def trained(model: nn.Module, x: Tensor = ROWS) -> optim.Optimizer:
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    loss(model, x).backward()
    optimizer.step()
    return optimizer


@pytest.mark.parametrize(
    ("edits", "error", "said"),
    [
        ([], EditError, "the plan has no edits, so there is nothing to apply"),
        ([Prune("first", [0]), Prune("first", [1])], ArgumentError, "a plan may prune 'first' once, not 2 times"),
        ([Prune("first", [0]), Split("first", 1)], ArgumentError, "unit 1 of 'first' is pruned by the same plan"),
        ([Split("first", 1), Split("first", 1)], ArgumentError, "unit 1 of 'first' is split twice by the same plan"),
        ([Prune("first", [0, 6])], ArgumentError, "'first' has units 0 to 5, not 0 to 6"),
        ([Prune("first", [-1])], ArgumentError, "'first' has units 0 to 5, not -1 to -1"),
        ([Split("first", 6)], ArgumentError, "'first' has units 0 to 5, not 6 to 6"),
        ([Widen("third", 1)], GraphError, "there is no axis 'third'"),
        ([Prune("last", [0])], GraphError, "the units of 'last' cannot be changed: "),
        ([InsertLayer("nowhere", nn.Tanh())], EditError, "nowhere"),
        ([RemoveLayer("nowhere")], EditError, "nowhere"),
        ([InsertLayer("first", nn.Tanh())], EditError, "the outputs after 'insert Tanh after first' differ by"),
        ([InsertLayer("first", nn.Linear(6, 5).double(), exact=False)], EditError, "does not run after 'insert Linear"),
        ([RemoveLayer("first")], EditError, "the model does not run after 'remove first': RuntimeError: .*models.py"),
    ],
)
def test_a_refused_plan_changes_nothing(edits: list[Any], error: type[Exception], said: str) -> None:
    model, graph = made(Chain)
    optimizer = trained(model)
    average = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    sizes = [axis.size for axis in graph]
    photograph, generator = Photograph([model], [optimizer], [average]), torch.get_rng_state()
    with pytest.raises(error, match=said) as caught:
        apply(Plan(tuple(edits)), model, optimizer, average, graph=graph)
    assert "\n" not in str(caught.value)
    photograph.assert_unchanged()
    assert torch.equal(torch.get_rng_state(), generator)
    assert [axis.size for axis in graph] == sizes
    assert len(history(model)) == 0


def test_arguments_of_another_kind() -> None:
    model, graph = made(Chain)
    with pytest.raises(ArgumentError, match="apply needs a Plan and a Graph, not list and Graph"):
        apply([Prune("first", [0])], model, graph=graph)
    with pytest.raises(ArgumentError, match="apply needs a Plan and a Graph, not Plan and Chain"):
        apply(Plan((Prune("first", [0]),)), model, graph=model)


def test_a_graph_of_another_model_or_of_an_older_one() -> None:
    model, graph = made(Chain)
    old = trace(model, ROWS)
    edited(model, graph, Prune("first", [0, 2]))
    with pytest.raises(EditError, match=r"older one: first\.weight should be \[6, 4\] and is \[2, 4\] in the model"):
        edited(model, old, Prune("first", [0]))
    with pytest.raises(EditError, match=r"start\.weight should be \[6, 4\] and is not in the model"):
        edited(model, made(Residual)[1], Prune("start", [0]))
    edited(model, graph, Prune("first", [1]))
    assert model.first.weight.shape == (1, 4)


def test_a_model_that_does_not_run_is_not_the_fault_of_the_plan() -> None:
    model, graph = made(Chain)
    model.forward = lambda x, y: x
    with pytest.raises(EditError, match="the model does not run with the example inputs of its graph: TypeError"):
        edited(model, graph, Prune("first", [0]))
    assert model.first.weight.shape == (6, 4)


def test_wrong_answers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is no formality: with one wrong tensor in the transaction it refuses."""
    model, graph = made(Chain)
    replace = Transaction.replace

    def wrong(self: Transaction, name: str, gather: Any, value: Any = None, **settings: Any) -> Tensor:
        new = replace(self, name, gather, value, **settings)
        if name == "second.weight":
            new.detach()[0, 0] += 1e-6
        return new

    monkeypatch.setattr(Transaction, "replace", wrong)
    photograph = Photograph([model])
    with pytest.raises(EditError, match=r"differ by .*e-.* of the largest, more than rounding \(1e-09\)"):
        edited(model, graph, Prune("first", [0, 1, 2]))
    photograph.assert_unchanged()
    apply(Plan((Prune("first", [0, 1, 2]),)), model, graph=graph, check=False)
    assert model.first.out_features == 3


@pytest.mark.parametrize("broken", ["set_attribute", "insert_module", "commit"])
def test_a_failure_in_the_middle_leaves_everything_to_the_bit(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, graph = made(Images)
    model.train()
    optimizer = trained(model, IMAGES)
    average = AveragedModel(model)
    sizes = [axis.size for axis in graph]
    monkeypatch.setattr(Transaction, broken, lambda *_, **__: 1 / 0)
    photograph = Photograph([model, average.module], [optimizer])
    edits = [Prune("conv1", [0, 3]), Split("conv3", 1), Widen("conv3", 2)]
    if broken == "insert_module":
        edits.append(InsertLayer("conv1", nn.Identity()))
    with pytest.raises(ZeroDivisionError):
        edited(model, graph, *edits, optimizer=optimizer, ema=average)
    photograph.assert_unchanged()
    assert [axis.size for axis in graph] == sizes
    monkeypatch.undo()
    edited(model, graph, *edits, optimizer=optimizer, ema=average)
    assert model.conv1.out_channels == average.module.conv1.out_channels == 2


class Untraceable(nn.Module):
    """The identity, by a way that depends on values."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 1 if bool((x > 0).any()) else x


def test_a_layer_with_which_the_model_cannot_be_traced_is_not_inserted() -> None:
    model, graph = made(Chain)
    optimizer = trained(model)
    photograph, sizes = Photograph([model], [optimizer]), [axis.size for axis in graph]
    with pytest.raises(GraphError, match="cannot be traced"):
        edited(model, graph, Prune("first", [0, 1]), InsertLayer("second", Untraceable()), optimizer=optimizer)
    photograph.assert_unchanged()
    assert [axis.size for axis in graph] == sizes
    edited(model, graph, Prune("first", [0, 1]))


def test_parallel_wrappers_are_refused_by_name() -> None:
    model, graph = made(Chain)

    class DistributedDataParallel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = model

    with pytest.raises(EditError, match=r"DistributedDataParallel synchronises .*; use edit\.rewrap"):
        edited(DistributedDataParallel(), graph, Prune("first", [0]))
