"""What ``apply`` changes: costs, weights, gradients, optimizers and averages."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel

from netsculpt.edit import (
    Plan,
    Prune,
    Split,
    Widen,
    apply,
    undo,
)
from netsculpt.graph import trace
from tests.edit.models import IMAGES, ROWS, Attention, Chain, Images, Residual, edited, loss, made


def test_an_outcome_says_what_it_came_to() -> None:
    model, graph = made(Images)
    plan = Plan.of(graph, [Prune("conv1", [0, 2, 4]), Split("conv1", 2), Widen("conv3", 2)])
    outcome = apply(plan, model, graph=graph)
    assert (outcome.before, outcome.after) == (plan.before, plan.after)
    assert outcome.difference is not None
    assert outcome.difference < 1e-12
    again = trace(model, IMAGES)
    assert again.cost() == graph.cost() == outcome.after
    assert apply(Plan((Prune("conv1", [0]),)), model, graph=graph, check=False).difference is None


def test_scaled_outgoing_weights() -> None:
    model, graph = made(Chain)
    weight, bias = model.second.weight.detach().clone(), model.first.bias.detach().clone()
    outcome = edited(model, graph, Prune("first", [4, 1], scale=[2.0, -0.5]))
    assert outcome.difference is not None
    assert torch.equal(model.second.weight, weight[:, [4, 1]] * torch.tensor([2.0, -0.5]))
    assert torch.equal(model.first.bias, bias[[4, 1]])


def test_scaled_and_split_at_once() -> None:
    model, graph = made(Chain)
    weight = model.second.weight.detach().clone()
    edited(model, graph, Prune("first", [4, 1], scale=[2.0, 3.0]), Split("first", 1, (0.25, 0.75)))
    torch.testing.assert_close(model.second.weight, weight[:, [4, 1, 1]] * torch.tensor([2.0, 0.75, 2.25]).double())


def test_optimizers_averages_and_schedules_go_on() -> None:
    model, graph = made(Chain)
    first = optim.AdamW(model.first.parameters(), lr=0.1)
    second = optim.SGD([*model.second.parameters(), *model.last.parameters()], lr=0.1, momentum=0.9)
    schedule = optim.lr_scheduler.StepLR(first, 1, gamma=0.5)
    average, entries = AveragedModel(model), {"first.weight": model.first.weight.detach().clone()}
    loss(model).backward()
    first.step()
    second.step()
    schedule.step()
    moments = first.state[model.first.weight]["exp_avg"].clone()
    keep = [5, 0, 3]
    edited(model, graph, Prune("first", keep), optimizer=(each for each in (first, second)), ema=[average, entries])
    assert torch.equal(first.state[model.first.weight]["exp_avg"], moments[keep])
    assert second.state[model.second.weight]["momentum_buffer"].shape == (5, 3)
    assert average.module.first.weight.shape == entries["first.weight"].shape == (3, 4)
    assert average.module.first.out_features == 3
    schedule.step()
    assert first.param_groups[0]["lr"] == 0.025
    before = model.first.weight.detach().clone()
    loss(model).backward()
    first.step()
    assert bool((model.first.weight != before).all())
    average.update_parameters(model)
    assert undo(model) == "merged"
    assert model.first.weight.shape == average.module.first.weight.shape == (6, 4)


def test_a_sequential_average_is_one_average() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    graph, average = trace(model, ROWS), copy.deepcopy(model)
    edited(model, graph, Prune("0", [1, 2]), ema=average)
    assert torch.equal(average[2].weight, model[2].weight)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    model.zero_grad()
    loss(model, IMAGES if isinstance(model, Images) else ROWS).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def assert_gradients_are_those_of_the_edited_model(model: nn.Module) -> None:
    """What ``apply`` made of the gradients, beside what backward finds in the edited model."""
    carried = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    found = gradients(model)
    for name, gradient in found.items():
        torch.testing.assert_close(carried[name], gradient, rtol=1e-9, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")


def test_gradients_of_copies_are_those_that_backward_would_find() -> None:
    for kind, axes in ((Chain, ("first", "second")), (Residual, ("start", "inner")), (Images, ("conv1", "conv3"))):
        model, graph = made(kind)
        model.eval()
        gradients(model)
        edited(model, graph, *(Split(axis, 1, (0.7, 0.6, -0.3)) for axis in axes), Split(axes[0], 2))
        assert_gradients_are_those_of_the_edited_model(model)


def test_gradients_of_fused_attention_with_more_heads_and_wider_ones() -> None:
    """Queries are scaled to make up for the root of the width, and only they are."""
    for edit_heads in (True, False):
        model, graph = made(Attention)
        heads, width = (axis.name for axis in graph.sculptable if axis.name.startswith("qkv"))
        gradients(model)
        edited(model, graph, Split(heads if edit_heads else width, 1, (0.3, 0.7)))
        assert_gradients_are_those_of_the_edited_model(model)


def test_a_step_of_momentum_after_a_split_is_the_step_of_the_copies() -> None:
    """SGD with slots="scaled": as if the copies had been there from the first step on."""
    model, graph = made(Chain)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    old = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    loss(model).backward()
    velocity = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    optimizer.step()
    values = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    assert not torch.equal(old["first.weight"], values["first.weight"])
    shares, units = torch.tensor([1, 1, 0.7, 1, 1, 1, 0.6, -0.3]).double(), [0, 1, 2, 3, 4, 5, 2, 2]
    edited(model, graph, Split("first", 2, (0.7, 0.6, -0.3)), optimizer=optimizer, slots="scaled")
    now = gradients(model)
    optimizer.step()
    moved = 0.9 * velocity["first.weight"][units] * shares[:, None] + now["first.weight"]
    torch.testing.assert_close(model.first.weight, values["first.weight"][units] - 0.05 * moved)
    moved = 0.9 * velocity["second.weight"][:, units] + now["second.weight"]
    torch.testing.assert_close(model.second.weight, values["second.weight"][:, units] * shares - 0.05 * moved)
    moved = 0.9 * velocity["last.weight"] + now["last.weight"]
    torch.testing.assert_close(model.last.weight, values["last.weight"] - 0.05 * moved)
