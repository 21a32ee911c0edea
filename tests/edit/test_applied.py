"""Undo in its two ways: to the bit where nothing was trained, and with what was trained where it was."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from netsculpt.edit.transaction import Transaction
from netsculpt.errors import EditError
from netsculpt.graph.gather import Gather
from tests.edit.networks import (
    KEEP_1,
    KEEP_2,
    groups,
    make_batch,
    make_net,
    pruned,
    train_step,
)
from tests.edit.optimizer_cases import CASES
from tests.edit.photograph import Photograph


def average(net: nn.Module) -> AveragedModel:
    return AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.5))


def test_undo_is_exact_where_nothing_was_trained() -> None:
    net = make_net()
    optimizer = optim.AdamW(net.parameters(), amsgrad=True)
    train_step(net, 0, optimizer)
    ema = average(net)
    ema.update_parameters(net)
    entries = {name: p.detach().clone() for name, p in net.named_parameters()}
    before = Photograph([net, ema], [optimizer], [entries])
    applied = pruned(net, optimizer, emas=[ema, entries])
    with torch.no_grad():
        net.eval()(make_batch(0)[0])
    net.train()
    assert applied.undo() == "exact"
    before.assert_unchanged()
    with pytest.raises(EditError, match="taken back already"):
        applied.undo()


@pytest.mark.parametrize(("cls", "settings"), CASES)
def test_undo_sees_the_training_of_every_optimizer(cls: type[optim.Optimizer], settings: dict[str, Any]) -> None:
    net = make_net()
    optimizer = cls(groups(net), **settings)
    train_step(net, 0, optimizer)
    whole = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    states = {n: dict(optimizer.state.get(p, {})) for n, p in net.named_parameters()}
    parameters = dict(net.named_parameters())
    applied = pruned(net, optimizer)
    train_step(net, 1, optimizer)
    small = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    small_states = {n: dict(optimizer.state.get(p, {})) for n, p in net.named_parameters()}
    assert applied.undo() == "merged"
    assert {name: id(p) for name, p in net.named_parameters()} == {name: id(p) for name, p in parameters.items()}
    for group, wanted in zip(optimizer.param_groups, groups(net), strict=True):
        assert all(has is want for has, want in zip(group["params"], wanted["params"], strict=True))
    rest = [0, 3]
    assert torch.equal(net.conv2.weight[KEEP_2][:, KEEP_1], small["conv2.weight"])
    assert torch.equal(net.conv2.weight[rest], whole["conv2.weight"][rest])
    assert torch.equal(net.conv2.weight[:, [1, 4, 6]], whole["conv2.weight"][:, [1, 4, 6]])
    assert torch.equal(net.head.bias, small["head.bias"])
    state = optimizer.state.get(net.conv2.weight, {})
    assert state.keys() == small_states["conv2.weight"].keys()
    for name, slot in state.items():
        if slot.dim() == 4:
            assert slot.shape[:2] == (6, 8), name
            assert torch.equal(slot[KEEP_2][:, KEEP_1], small_states["conv2.weight"][name]), name
            assert torch.equal(slot[rest], states["conv2.weight"][name][rest]), name
        else:
            assert torch.equal(slot, small_states["conv2.weight"][name]), name
    before = net.conv2.weight.detach().clone()
    train_step(net, 2, optimizer)
    assert not torch.equal(net.conv2.weight[rest], before[rest])


def test_averages_keep_their_training_too() -> None:
    net = make_net()
    optimizer = optim.SGD(net.parameters(), 0.1)
    ema = average(net)
    ema.update_parameters(net)
    whole = ema.module.conv1.weight.detach().clone()
    applied = pruned(net, optimizer, emas=[ema])
    train_step(net, 0, optimizer)
    ema.update_parameters(net)
    small = ema.module.conv1.weight.detach().clone()
    assert applied.undo() == "merged"
    assert torch.equal(ema.module.conv1.weight[KEEP_1], small)
    assert torch.equal(ema.module.conv1.weight[[1, 4, 6]], whole[[1, 4, 6]])
    ema.update_parameters(net)


def test_averages_that_are_made_anew_at_every_step() -> None:
    net = make_net()
    entries = {"conv1.bias": net.conv1.bias.detach().clone()}
    old = entries["conv1.bias"]
    applied = pruned(net, emas=[entries])
    entries["conv1.bias"] = entries["conv1.bias"] * 0.5
    wanted = old.clone()
    wanted[KEEP_1] /= 2
    assert applied.undo() == "merged"
    assert entries["conv1.bias"] is old
    assert torch.equal(old, wanted)


def split(edit: Transaction) -> None:
    index = torch.tensor([0, 1, 2, 1])
    shares = torch.tensor([1.0, 0.25, 1.0, 0.75])
    for name in ("0.weight", "0.bias"):
        edit.replace(name, Gather({0: index}), gradient=Gather({0: index}, {0: shares}))
    edit.replace("2.weight", Gather({1: index}, {1: shares}))


def two_layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()


@pytest.mark.parametrize("slots", ["copy", "zero", "scaled"])
def test_copies_are_merged_into_what_they_stand_for(slots: Any) -> None:
    model = two_layers()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    x = torch.randn(6, 4, dtype=torch.float64)

    def step() -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    step()
    edit = Transaction(model, [optimizer], slots=slots)
    split(edit)
    applied = edit.commit()
    step()
    trained = {name: p.detach().clone() for name, p in model.named_parameters()}
    slot = optimizer.state[model[0].weight]["exp_avg"].clone()
    assert applied.undo() == "merged"
    torch.testing.assert_close(model[0].weight[1], (trained["0.weight"][1] + trained["0.weight"][3]) / 2)
    torch.testing.assert_close(model[2].weight[:, 1], trained["2.weight"][:, 1] + trained["2.weight"][:, 3])
    assert torch.equal(model[0].weight[[0, 2]], trained["0.weight"][[0, 2]])
    assert torch.equal(model[2].bias, trained["2.bias"])
    merged = optimizer.state[model[0].weight]["exp_avg"][1]
    torch.testing.assert_close(merged, slot[1] + slot[3] if slots == "scaled" else (slot[1] + slot[3]) / 2)
    step()


@pytest.mark.parametrize("cls", [optim.SGD, optim.ASGD])
def test_what_values_added_is_taken_off_again(cls: type[optim.Optimizer]) -> None:
    """A refit, offsets and an index table: undone after training, only the training is left."""
    model = nn.Linear(3, 4).double()
    model.register_buffer("table", torch.tensor([3, 1, 2, 0]))
    optimizer = cls(model.parameters(), lr=0.1)
    ema = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    x = torch.randn(5, 3, dtype=torch.float64)

    def step() -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    step()
    weight, bias, average = model.weight.detach().clone(), model.bias.detach().clone(), ema["weight"].clone()
    copies = Gather({0: torch.tensor([0, 1, 3, 1])})
    offset = torch.zeros(4, 3, dtype=torch.float64)
    offset[1], offset[3] = 0.5, -0.25
    with Transaction(model, [optimizer], [ema]) as edit:
        edit.replace("weight", copies, copies.gather(weight) + offset)
        edit.replace("bias", Gather({0: torch.tensor([0, 1, 3, 1])}), torch.randn(4).double())
        edit.replace("table", Gather({0: torch.tensor([0, 1])}), torch.tensor([1, 0]))
    before = [model.weight.detach().clone(), model.bias.detach().clone()]
    step()
    ema["weight"] += 1
    trained = [now.detach() - was for now, was in zip((model.weight, model.bias), before, strict=True)]
    model.table += 0
    assert edit.applied is not None
    assert edit.applied.undo() == "merged"
    for now, was, training in zip((model.weight, model.bias), (weight, bias), trained, strict=True):
        wanted = was.clone()
        wanted[[0, 3]] += training[[0, 2]]
        wanted[1] += (training[1] + training[3]) / 2
        torch.testing.assert_close(now, wanted)
    torch.testing.assert_close(ema["weight"][[0, 1, 3]], average[[0, 1, 3]] + 1)
    assert model.table.tolist() == [3, 1, 2, 0]
    if cls is optim.ASGD:
        torch.testing.assert_close(optimizer.state[model.weight]["ax"][[0, 1, 3]], model.weight[[0, 1, 3]])


def test_gradients_since_are_pulled_back_and_do_not_count_as_training() -> None:
    model = two_layers()
    x = torch.randn(6, 4, dtype=torch.float64)
    model(x).square().mean().backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    before = {name: (p, p.detach().clone()) for name, p in model.named_parameters()}
    edit = Transaction(model)
    split(edit)
    applied = edit.commit()
    model(x).square().mean().backward()
    assert applied.undo() == "exact"
    for name, parameter in model.named_parameters():
        assert parameter is before[name][0]
        assert torch.equal(parameter, before[name][1])
        torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "write",
    [
        lambda weight: weight.data.add_(0.5),
        lambda weight: setattr(weight, "data", weight.data + 0.5),
        lambda weight: weight.detach().add_(0.5),
        lambda weight: weight.detach().copy_(weight.detach().flip(0)),
        lambda weight: weight.data.view(-1)[0].mul_(-1),
    ],
)
def test_training_is_seen_however_it_is_written(write: Callable[[Tensor], Any]) -> None:
    net = make_net()
    applied = pruned(net)
    write(net.conv1.weight)
    changed = net.conv1.weight.detach().clone()
    assert applied.undo() == "merged"
    assert torch.equal(net.conv1.weight[KEEP_1], changed)
