"""New values for whole tensors: what the plan's other edits make of them, and what follows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from netsculpt.edit import (
    Assign,
    InsertLayer,
    Plan,
    Prune,
    RemoveLayer,
    Split,
    Widen,
    apply,
    history,
)
from netsculpt.errors import ArgumentError, ShapeError
from netsculpt.graph import trace
from tests.edit.models import IMAGES, ROWS, Chain, Factors, Images, answers, drawn, edited, loss, made
from tests.edit.photograph import Photograph

NAN = float("nan")


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.two(torch.tanh(self.one(x)))))


def test_a_refitted_consumer_is_pruned_with_its_producer() -> None:
    model, graph = made(Chain)
    first, bias = model.first.weight.detach().clone(), model.second.bias.detach().clone()
    weight, fitted = drawn(5, 6), drawn(5, seed=8)
    edits = [Prune("first", [4, 1]), Assign("second.weight", weight), Assign("second.bias", fitted)]
    outcome = edited(model, graph, *edits)
    assert outcome.difference is None
    assert not torch.equal(bias, fitted)
    assert torch.equal(model.second.weight, weight[:, [4, 1]])
    assert torch.equal(model.second.bias, fitted)
    assert torch.equal(model.first.weight, first[[4, 1]])
    assert outcome.after == trace(model, ROWS).cost()


def test_the_order_of_the_edits_does_not_matter() -> None:
    edits = [Assign("second.weight", drawn(5, 6)), Split("second", 3), Prune("first", [5, 0], [2.0, -0.5])]
    said = []
    for order in (edits, edits[::-1]):
        model, graph = made(Chain)
        edited(model, graph, *order)
        said.append(answers(model))
    assert torch.equal(*said)


def test_every_other_edit_takes_the_assigned_values() -> None:
    model, graph = made(Chain)
    outgoing, incoming = drawn(5, 6), drawn(6, 4, seed=8)
    edits = [Prune("first", [4, 1], [2.0, 3.0]), Split("first", 1, (0.25, 0.75), {"first.weight": torch.ones(2, 4)})]
    new = [Widen("first", 1, {"second.weight": torch.full((1, 5), 7.0)})]
    edited(model, graph, *edits, *new, Assign("second.weight", outgoing), Assign("first.weight", incoming))
    wanted = outgoing[:, [4, 1, 1]] * torch.tensor([2.0, 0.75, 2.25], dtype=torch.float64)
    torch.testing.assert_close(model.second.weight[:, :3], wanted)
    assert bool((model.second.weight[:, 3] == 7).all())
    torch.testing.assert_close(model.first.weight[:3], incoming[[4, 1, 1]] + torch.tensor([[0.0], [1], [1]]).double())


def test_what_is_folded_is_added_to_an_assigned_bias() -> None:
    model, graph = made(Chain)
    with torch.no_grad():
        model.first.weight[2:] = 0
    constant = torch.tanh(model.first.bias.detach()[2:])
    weight, bias = drawn(5, 6), drawn(5, seed=8)
    edits = [Prune("first", [0, 1], fold=True), Assign("second.weight", weight), Assign("second.bias", bias)]
    edited(model, graph, *edits)
    torch.testing.assert_close(model.second.bias, bias + weight[:, 2:] @ constant)


def test_statistics_of_a_norm_and_whole_numbers() -> None:
    model, graph = made(Images)
    mean = drawn(6).float()
    count = Assign("bn.num_batches_tracked", torch.tensor(7.0))
    edited(model, graph, Assign("bn.running_mean", mean), Prune("conv1", [5, 2]), count)
    assert torch.equal(model.bn.running_mean, mean[[5, 2]].double())
    assert (model.bn.num_batches_tracked.dtype, int(model.bn.num_batches_tracked)) == (torch.int64, 7)
    assert "running_mean" in model.bn._buffers


def test_layers_come_and_go_beside_it() -> None:
    model, graph = made(Chain)
    weight = drawn(5, 6)
    edited(model, graph, InsertLayer("first", nn.Identity()), Assign("second.weight", weight))
    assert torch.equal(model.second.weight, weight)
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    edited(net, trace(net, ROWS), RemoveLayer("1"), Assign("2.weight", drawn(2, 4)))
    assert torch.equal(answers(net), net[2](net[0](ROWS)))
    assert torch.equal(net[2].weight, drawn(2, 4))


def test_a_plan_says_it_and_says_that_it_is_not_exact() -> None:
    model, graph = made(Chain)
    plan = Plan.of(graph, [Assign("second.weight", drawn(5, 6))])
    assert plan.inexact == ("second.weight gets new values",)
    assert plan.before == plan.after == graph.cost()
    assert str(plan).splitlines()[0] == "assign second.weight: new values [5, 6]"
    assert "not exact: second.weight gets new values" in str(plan)
    assert "tensor(" not in repr(plan)
    assert apply(plan, model, graph=graph).difference is None


def test_an_assigned_tensor_is_its_own() -> None:
    model, graph = made(Chain)
    values = drawn(5, 6).requires_grad_()
    plan = Plan.of(graph, [Assign("second.weight", values)])
    with torch.no_grad():
        values.zero_()
    apply(plan, model, graph=graph)
    with torch.no_grad():
        model.second.weight.zero_()
    assert torch.equal(plan.edits[0].values, drawn(5, 6))
    assert isinstance(model.second.weight, nn.Parameter)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_values_are_cast(kind: torch.dtype) -> None:
    model, graph = made(Chain)
    model.to(kind)
    edited(model, graph, Assign("second.weight", drawn(5, 6)))
    assert torch.equal(model.second.weight, drawn(5, 6).to(kind))


def test_a_parameter_keeps_all_but_its_values() -> None:
    model, graph = made(Chain)
    model.second.weight.requires_grad_(False)
    loss(model).backward()
    gradient, calls = model.last.weight.grad.clone(), []
    model.last.weight.register_hook(lambda grad: calls.append(1))
    edited(model, graph, Assign("second.weight", drawn(5, 6)), Assign("last.weight", drawn(2, 5)))
    assert not model.second.weight.requires_grad
    assert torch.equal(model.last.weight.grad, gradient)
    loss(model).backward()
    assert calls == [1]


@pytest.mark.parametrize("name", ["one.weight", "two.weight"])
def test_a_tied_tensor_has_the_values_under_all_its_names(name: str) -> None:
    model, graph = made(Tied)
    edited(model, graph, Assign(name, drawn(4, 4)))
    assert model.one.weight is model.two.weight
    assert torch.equal(model.one.weight, drawn(4, 4))
    assert history(model).records[0]["assigned"] == ["one.weight", "two.weight"]


def test_a_parametrized_tensor_by_its_originals() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 6)), nn.Linear(6, 2)).double()
    graph = trace(model, ROWS)
    first, second = (f"0.parametrizations.weight.original{number}" for number in (0, 1))
    with pytest.raises(ArgumentError, match=f"'0.weight' is no .*: it is parametrized, so assign {first} and {second}"):
        Plan.of(graph, [Assign("0.weight", drawn(6, 4))])
    edited(model, graph, Assign(second, drawn(6, 4)), Assign(first, torch.ones(6, 1)), Prune("0", [3, 1]))
    torch.testing.assert_close(model[0].weight.detach(), nn.functional.normalize(drawn(6, 4)[[3, 1]]))


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        (lambda: [Assign("second.wieght", drawn(5, 6))], "'second.wieght' is no parameter or buffer .* second.weight"),
        (lambda: [Assign("zzz", drawn(5, 6))], "'zzz' is no parameter or buffer of the model, such as first.weight"),
        (lambda: [Assign("second", drawn(5, 6))], "'second' is no parameter or buffer of the model"),
        (lambda: [Assign("second.weight", drawn(5, 6))] * 2, "a plan may assign second.weight once"),
        (lambda: [Assign("second.weight", drawn(6, 5))], r"the shape \[5, 6\] that it has before .*not \[6, 5\]"),
        (lambda: [Assign("second.weight", drawn(5, 2)), Prune("first", [0, 1])], r"second.weight must have .*5, 6"),
        (lambda: [Assign("second.weight", torch.full((5, 6), NAN))], "must be finite numbers, but 30 of 30 are not"),
        (lambda: [Assign("second.weight", [[1.0]])], r"must be an ordinary tensor that holds values, not list"),
        (lambda: [Assign("second.weight", drawn(5, 6).to_sparse())], "ordinary tensor .*, not torch.sparse_coo on cpu"),
        (lambda: [Assign("second.weight", torch.ones(5, 6, device="meta"))], "ordinary tensor .*, not .*meta"),
        (lambda: [Assign(nn.Linear(1, 1), drawn(5, 6))], "tensor of an edit must be a name"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_a_sentence(edits: Callable[[], list[object]], said: str) -> None:
    model, graph = made(Chain)
    photograph = Photograph([model])
    with pytest.raises(ArgumentError, match=said) as caught:
        apply(Plan(tuple(edits())), model, graph=graph)
    assert "\n" not in str(caught.value)
    photograph.assert_unchanged()
    with pytest.raises(ArgumentError, match=said):
        Plan.of(graph, edits())


def test_a_wrong_shape_is_a_shape_error() -> None:
    _, graph = made(Chain)
    with pytest.raises(ShapeError):
        Plan.of(graph, [Assign("second.weight", drawn(5))])


def test_two_names_of_one_tensor_contradict_each_other() -> None:
    _, graph = made(Tied)
    with pytest.raises(ArgumentError, match=r"assign one\.weight once, of which two\.weight is another name"):
        Plan.of(graph, [Assign("one.weight", drawn(4, 4)), Assign("two.weight", drawn(4, 4))])


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("first.weight", torch.full((6, 4), 1e39, dtype=torch.float64), "first.weight must fit its dtype, float32"),
        ("first.weight", torch.full((6, 4), 1j), "first.weight must fit its dtype, float32"),
        ("count", torch.tensor([0.5, 1]), "count must fit its dtype, int64"),
        ("count", torch.tensor([1e30, 1]), "count must fit its dtype, int64"),
    ],
)
def test_values_that_the_tensor_cannot_hold(name: str, values: Tensor, said: str) -> None:
    model, graph = made(Factors)
    model.float()
    photograph = Photograph([model])
    with pytest.raises(ArgumentError, match=said):
        apply(Plan((Assign("last.bias", drawn(2)), Assign(name, values))), model, graph=graph)
    photograph.assert_unchanged()


def test_images_answer_after_a_refit() -> None:
    model, graph = made(Images)
    weight = drawn(8, 6, 3, 3)
    edited(model, graph, Assign("conv2.weight", weight), Prune("conv1", [0, 3]))
    assert torch.equal(model.conv2.weight, weight[:, [0, 3]])
    assert answers(model, IMAGES).isfinite().all()
