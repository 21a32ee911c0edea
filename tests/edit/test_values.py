"""What copied and new units hold: offsets beside the hand computation, and the values of new units."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from netsculpt.edit import Plan, Prune, Split, Widen, apply, undo
from netsculpt.errors import ArgumentError, EditError, ShapeError
from tests.edit.models import IMAGES, ROWS, Attention, Chain, Images, Residual, Square, answers, edited, loss, made


def rows(*shape: int, seed: int = 7) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_offsets_of_weight_and_bias_in_one_tensor() -> None:
    model, graph = made(Chain)
    weight, bias = model.first.weight.detach().clone(), model.first.bias.detach().clone()
    used = model.second.weight.detach().clone()
    offsets = rows(3, 5)
    edited(model, graph, Split("first", 2, (0.7, 0.6, -0.3), offsets))
    wanted = torch.cat([weight, weight[[2, 2]]])
    wanted[[2, 6, 7]] += offsets[:, :-1]
    assert torch.equal(model.first.weight, wanted)
    wanted = torch.cat([bias, bias[[2, 2]]])
    wanted[[2, 6, 7]] += offsets[:, -1]
    assert torch.equal(model.first.bias, wanted)
    torch.testing.assert_close(
        model.second.weight[:, [2, 6, 7]], used[:, [2]] * torch.tensor([[0.7, 0.6, -0.3]]).double()
    )


def test_offsets_without_a_bias_and_of_convolutions() -> None:
    model, graph = made(Images)
    weight = model.conv2.weight.detach().clone()
    offsets = rows(2, 6 * 9)
    model2, graph2 = made(lambda: Chain(bias=False))
    edited(model2, graph2, Split("second", 0, offsets=rows(2, 6)))
    assert model2.second.weight.shape == (6, 6)
    conv1, bias = model.conv1.weight.detach().clone(), model.conv1.bias.detach().clone()
    edited(model, graph, Split("conv1", 5, offsets=rows(2, 28)))
    torch.testing.assert_close(model.conv1.weight[[5, 6]], conv1[[5, 5]] + rows(2, 28)[:, :27].reshape(2, 3, 3, 3))
    torch.testing.assert_close(model.conv1.bias[[5, 6]], bias[[5, 5]] + rows(2, 28)[:, 27])
    assert torch.equal(model.bn.weight[5], model.bn.weight[6])
    undo(model)
    assert torch.equal(model.conv2.weight, weight)
    assert offsets.shape[1] == weight[0].numel()


def test_offsets_by_tensor_name_where_several_layers_make_the_units() -> None:
    model, graph = made(Residual)
    with pytest.raises(ArgumentError, match=r"'start' is made by start\.weight, back\.weight: offsets must be"):
        Plan.of(graph, [Split("start", 1, offsets=rows(2, 5))])
    start, back = model.start.weight.detach().clone(), model.back.weight.detach().clone()
    edited(model, graph, Split("start", 1, offsets={"start.weight": rows(2, 4), "back.weight": rows(2, 5)}))
    torch.testing.assert_close(model.start.weight[[1, 6]], start[[1, 1]] + rows(2, 4))
    torch.testing.assert_close(model.back.weight[[1, 6]], back[[1, 1]] + rows(2, 5))
    others = [0, 2, 3, 4, 5]
    assert torch.equal(model.back.weight[others], back[others])


def test_an_offset_is_shared_where_its_input_is_copied_in_the_same_plan() -> None:
    """METHODS 3.9, rule 4: the direction's response stays what it was in the model before."""
    model, graph = made(Chain)
    first, weight = model.first.weight.detach().clone(), model.second.weight.detach().clone()
    bias, last = model.second.bias.detach().clone(), model.last.weight.detach().clone()
    offsets, shares, inner = rows(2, 7), torch.tensor([0.4, 0.6]).double(), torch.tensor([0.7, 0.6, -0.3]).double()
    edited(model, graph, Split("second", 3, shares, offsets), Split("first", 1, inner), Prune("first", [1, 4, 0]))
    keep = [1, 4, 0, 1, 1]
    factors = torch.tensor([0.7, 1, 1, 0.6, -0.3]).double()
    assert torch.equal(model.first.weight, first[keep])
    wanted = torch.cat([weight, weight[[3]]])
    wanted[[3, 5]] += offsets[:, :-1]
    torch.testing.assert_close(model.second.weight, wanted[:, keep] * factors)
    torch.testing.assert_close(model.second.bias[[3, 5]], bias[[3, 3]] + offsets[:, -1])
    torch.testing.assert_close(model.last.weight[:, [3, 5]], last[:, [3]] * shares)


class Transposed(nn.Module):
    """Weights with inputs first."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(4, 6))
        self.second = nn.Parameter(torch.randn(6, 5))
        self.last = nn.Parameter(torch.randn(5, 2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(torch.tanh(x @ self.first) @ self.second) @ self.last


def test_offsets_are_shared_in_a_weight_with_inputs_first_that_gets_new_ones_too() -> None:
    model, graph = made(Transposed)
    weight, offsets = model.second.detach().clone(), rows(2, 6)
    edited(model, graph, Split("first", 1, (0.25, 0.75)), Widen("first", 1), Split("second", 3, offsets=offsets))
    wanted = torch.cat([weight, weight[:, [3]]], 1)
    wanted[:, [3, 5]] += offsets.T
    wanted = torch.cat([wanted, wanted[[1]], torch.zeros(1, 6).double()])
    wanted[1] *= 0.25
    wanted[6] *= 0.75
    torch.testing.assert_close(model.second, nn.Parameter(wanted))


def test_offsets_of_outgoing_weights_are_shared_like_them() -> None:
    model, graph = made(Chain)
    weight, offsets = model.second.weight.detach().clone(), rows(2, 5)
    edited(model, graph, Split("first", 1, (0.25, 0.75), {"second.weight": offsets}))
    wanted = (weight[:, [1, 1]] + offsets.T) * torch.tensor([0.25, 0.75])
    torch.testing.assert_close(model.second.weight[:, [1, 6]].detach(), wanted)


def test_two_layers_copied_with_offsets_answer_as_if_one_after_the_other() -> None:
    """All edits of a plan refer to the model before it, so their order does not matter."""
    model, graph = made(Chain)
    edits = [Split("first", 2, offsets=1e-2 * rows(2, 5)), Split("second", 4, offsets=1e-2 * rows(2, 7))]
    edited(model, graph, *edits)
    there = answers(model)
    undo(model)
    edited(model, graph, *reversed(edits))
    torch.testing.assert_close(answers(model), there, rtol=0, atol=1e-14)


def test_small_offsets_that_cancel_change_the_loss_by_their_square() -> None:
    model, graph = made(Chain)
    before, direction = loss(model).item(), rows(1, 5)
    changes = []
    for size in (4e-2, 2e-2, 1e-2):
        edited(model, graph, Split("first", 2, offsets=torch.cat([size * direction, -size * direction])))
        changes.append(loss(model).item() - before)
        undo(model)
    assert abs(changes[2]) > 1e-9
    assert changes[0] / changes[1] == pytest.approx(4, rel=0.02)
    assert changes[1] / changes[2] == pytest.approx(4, rel=0.02)


def test_a_tensor_that_makes_and_uses_its_units_gets_offsets_where_it_makes_them() -> None:
    model, graph = made(Square)
    weight = model.mix.weight.detach().clone()
    offsets = rows(2, 6)
    plan = Plan((Split("start", 0, offsets={"mix.weight": offsets}),))
    apply(plan, model, graph=graph)
    wanted = torch.cat([weight, weight[[0]]])
    wanted[[0, 6]] += offsets
    wanted = torch.cat([wanted, wanted[:, [0]]], 1)
    wanted[:, [0, 6]] /= 2
    torch.testing.assert_close(model.mix.weight, wanted)


@pytest.mark.parametrize(
    ("offsets", "error", "said"),
    [
        (rows(3, 5), ShapeError, "must have 2 rows, not 3"),
        (rows(2, 4), ShapeError, "a unit's slice of first.weight has 4 entries, not \\[3\\]"),
        (rows(2, 1), ShapeError, "must be \\[copies, inputs\\], not \\[2, 1\\]"),
        ({"first.weight": rows(2, 5)}, ShapeError, "a unit's slice of first.weight has 4 entries, not \\[5\\]"),
        ({"last.weight": rows(2, 5)}, ArgumentError, "offsets name 'last.weight', which has no slices of 'first'"),
    ],
)
def test_offsets_that_do_not_fit(offsets: object, error: type[Exception], said: str) -> None:
    model, graph = made(Chain)
    before = answers(model)
    with pytest.raises(error, match=said):
        apply(Plan((Split("first", 0, offsets=offsets),)), model, graph=graph)
    assert torch.equal(answers(model), before)


def test_new_units_with_given_incoming_and_outgoing_weights() -> None:
    model, graph = made(Chain)
    weight, used = model.first.weight.detach().clone(), model.second.weight.detach().clone()
    incoming, outgoing = rows(2, 4), rows(2, 5, seed=8)
    outcome = edited(model, graph, Widen("first", 2, {"first.weight": incoming}))
    assert outcome.difference is not None
    assert torch.equal(model.first.weight, torch.cat([weight, incoming]))
    assert torch.equal(model.first.bias[6:], torch.zeros(2).double())
    undo(model)
    plan = Plan.of(graph, [Widen("first", 2, {"first.weight": incoming, "second.weight": outgoing})])
    assert plan.inexact == ("first: the plan gives values to weights of copied or new units",)
    assert apply(plan, model, graph=graph).difference is None
    assert torch.equal(model.second.weight, torch.cat([used, outgoing.T], 1))
    hidden = torch.tanh(ROWS @ torch.cat([weight, incoming]).T + model.first.bias)
    hidden = torch.tanh(hidden @ torch.cat([used, outgoing.T], 1).T + model.second.bias)
    torch.testing.assert_close(answers(model), model.last(hidden).detach())


@pytest.mark.parametrize(
    ("init", "error", "said"),
    [
        ({"first.weight": rows(3, 4)}, ShapeError, "init of first.weight must have 2 rows, not 3"),
        ({"first.weight": rows(2, 3)}, ShapeError, "a unit's slice of first.weight has 4 entries, not \\[3\\]"),
        ({"nowhere": rows(2, 3)}, ArgumentError, "init name 'nowhere', which has no slices of 'first'"),
    ],
)
def test_initial_values_that_do_not_fit(init: dict[str, Tensor], error: type[Exception], said: str) -> None:
    model, graph = made(Chain)
    with pytest.raises(error, match=said):
        apply(Plan((Widen("first", 2, init),)), model, graph=graph)
    assert model.first.weight.shape == (6, 4)


def test_new_units_are_like_those_that_are_there() -> None:
    model, graph = made(Images)
    spread = model.conv1.weight.square().mean().sqrt().item()
    edited(model, graph, Widen("conv1", 4))
    assert 0.5 * spread < model.conv1.weight[6:].square().mean().sqrt().item() < 2 * spread
    assert [tensor[6:].unique().item() for tensor in (model.bn.weight, model.bn.bias)] == [1, 0]
    assert [tensor[6:].unique().item() for tensor in (model.bn.running_var, model.bn.running_mean)] == [1, 0]
    assert not bool(model.conv2.weight[:, 6:].any())


def test_random_units_depend_on_the_seed_and_are_all_different() -> None:
    model, graph = made(Residual)

    def new(*edits: Widen) -> tuple[Tensor, Tensor]:
        edited(model, graph, *edits)
        found = model.start.weight[6:].detach().clone(), model.back.weight[6:].detach().clone()
        undo(model)
        return found

    first, again, other = new(Widen("start", 2)), new(Widen("start", 2)), new(Widen("start", 2, seed=1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[0] / first[0].std(), first[1][:, :4] / first[1][:, :4].std())
    twice = new(Widen("start", 1), Widen("start", 1))[0]
    assert not torch.equal(twice[0], twice[1])


def test_zero_units_are_zero() -> None:
    model, graph = made(Residual)
    edited(model, graph, Widen("start", 2, "zero"))
    assert not bool(model.start.weight[6:].any())
    assert not bool(model.back.weight[6:].any())
    assert not bool(model.last.weight[:, 6:].any())


@pytest.mark.parametrize("size", [2, 4], ids=["a head", "a width of heads"])
def test_new_parts_of_fused_attention_can_learn(size: int) -> None:
    """Some of what the new units are made of is zero, and some is not, else no gradient would ever reach them."""
    model, graph = made(Attention)
    (name,) = (axis.name for axis in graph.sculptable if axis.name.startswith("qkv") and axis.size == size)
    before = answers(model)
    outcome = edited(model, graph, Widen(name, 1))
    assert outcome.difference is not None
    torch.testing.assert_close(answers(model), before, rtol=0, atol=1e-12)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    was = {key: tensor.detach().clone() for key, tensor in model.named_parameters()}
    for _ in range(2):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()
    moved = (model.qkv.weight != was["qkv.weight"]).any(1)
    assert bool(moved.all()), f"{int((~moved).sum())} rows never learn"


def test_values_where_another_axis_of_the_plan_divides_them() -> None:
    model, graph = made(Attention)
    heads, width = (axis.name for axis in graph.sculptable if axis.name.startswith("qkv"))
    slices = model.out.weight.shape[0] * 4
    for other in (Prune(width, [0, 1]), Prune(width, [1, 0, 2, 3])):
        with pytest.raises(EditError, match=r"slices of out\.weight get values while another axis divides them"):
            edited(model, graph, Widen(heads, 1, {"out.weight": rows(1, slices)}), other)
    edited(model, graph, Prune(width, [0, 1]))
    given = rows(1, slices // 2)
    edited(model, graph, Widen(heads, 1, {"out.weight": given}), Prune(width, [0, 1]), Prune(heads, [1]))
    torch.testing.assert_close(model.out.weight[:, 2:].T.reshape(1, -1), given)


def test_after_a_flatten_a_unit_has_several_columns() -> None:
    model, graph = made(Images)
    head = model.head.weight.detach().clone()
    given = rows(1, 2 * 16)
    edited(model, graph, Widen("conv3", 1, {"head.weight": given}), Prune("conv3", [0, 4]))
    wanted = torch.cat([head[:, :16], head[:, 64:], given.reshape(16, 2).T], 1)
    assert torch.equal(model.head.weight, wanted)
    assert answers(model, IMAGES).shape == (3, 2)


def test_a_unit_of_a_frozen_parameter_and_of_a_narrow_type() -> None:
    model, graph = made(Chain)
    model.to(torch.bfloat16)
    model.first.weight.requires_grad_(False)
    edited(model, graph, Split("first", 0, offsets=rows(2, 5)), Widen("second", 1))
    assert model.first.weight.dtype == torch.bfloat16
    assert not model.first.weight.requires_grad
    assert model.first.weight.shape == (7, 4)
    assert isinstance(model.second.weight, nn.Parameter)
