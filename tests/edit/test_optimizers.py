"""Every optimizer goes on after an edit as one that was built for the edited model with the same state."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from netsculpt.edit.transaction import Transaction
from netsculpt.errors import EditError
from netsculpt.graph.gather import Gather
from tests.edit.networks import Net, assert_same_model, groups, make_net, pick, prune, pruned_oracle, train_step
from tests.edit.optimizer_cases import CASES, KINDS


def oracle_optimizer(
    cls: type[optim.Optimizer], settings: dict[str, Any], optimizer: optim.Optimizer, net: Net, small: Net
) -> optim.Optimizer:
    """An optimizer built for the small network, with what plain indexing leaves of the state."""
    fresh = cls(groups(small), **settings)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    twins = dict(small.named_parameters())
    for parameter, state in optimizer.state.items():
        name = names[id(parameter)]
        fresh.state[twins[name]] = {
            key: pick(slot, name, parameter.shape)
            if isinstance(slot, Tensor) and slot.dim() == parameter.dim()
            else copy.deepcopy(slot)
            for key, slot in state.items()
        }
    for group, own in zip(fresh.param_groups, optimizer.param_groups, strict=True):
        group.update({key: copy.deepcopy(value) for key, value in own.items() if key != "params"})
    return fresh


@pytest.mark.parametrize(("cls", "settings"), CASES)
def test_goes_on_like_a_fresh_optimizer_with_gathered_state(
    cls: type[optim.Optimizer], settings: dict[str, Any]
) -> None:
    net = make_net()
    optimizer = cls(groups(net), **settings)
    for seed in range(2):
        train_step(net, seed, optimizer)
    small = pruned_oracle(net)
    fresh = oracle_optimizer(cls, settings, optimizer, net, small)
    with Transaction(net, [optimizer]) as edit:
        prune(edit)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in net.parameters()}
    assert len(optimizer.state) == len(fresh.state)
    for seed in range(2, 4):
        loss, wanted = train_step(net, seed, optimizer), train_step(small, seed, fresh)
        torch.testing.assert_close(loss, wanted, rtol=1e-12, atol=1e-14)
        assert_same_model(net, small)
    for ours, theirs in zip(optimizer.state.values(), fresh.state.values(), strict=True):
        for key in ours:
            torch.testing.assert_close(ours[key], theirs[key], rtol=1e-12, atol=1e-14)


def test_no_optimizer_of_torch_is_left_out() -> None:
    known = {cls for cls, _ in KINDS.values()} | {optim.LBFGS, optim.SparseAdam, optim.Muon, optim.Optimizer}
    assert known >= {cls for cls in vars(optim).values() if isinstance(cls, type) and issubclass(cls, optim.Optimizer)}


def test_muon_beside_another_optimizer() -> None:
    def build(net: nn.Module) -> tuple[optim.Muon, optim.SGD]:
        matrices = [p for p in net.parameters() if p.dim() == 2]
        return optim.Muon(matrices, lr=0.01), optim.SGD([p for p in net.parameters() if p.dim() != 2], 0.1, 0.9)

    net = make_net()
    muon, sgd = build(net)
    train_step(net, 0, muon, sgd)
    small = pruned_oracle(net)
    small_muon, small_sgd = build(small)
    for optimizer, fresh in ((muon, small_muon), (sgd, small_sgd)):
        names = {id(parameter): name for name, parameter in net.named_parameters()}
        for parameter, state in optimizer.state.items():
            name = names[id(parameter)]
            slot = pick(state["momentum_buffer"], name, parameter.shape)
            fresh.state[dict(small.named_parameters())[name]] = {"momentum_buffer": slot}
    with Transaction(net, [muon, sgd]) as edit:
        prune(edit)
    for seed in (1, 2):
        train_step(net, seed, muon, sgd)
        train_step(small, seed, small_muon, small_sgd)
        assert_same_model(net, small)


def test_sparse_gradients_and_their_optimizer() -> None:
    torch.manual_seed(0)
    table = nn.Embedding(6, 4, sparse=True)
    optimizer = optim.SparseAdam(table.parameters())
    table(torch.tensor([1, 3, 3])).sum().backward()
    optimizer.step()
    before, gradient, slots = table.weight.detach().clone(), table.weight.grad, dict(optimizer.state[table.weight])
    with Transaction(table, [optimizer]) as edit:
        edit.replace("weight", Gather({1: torch.tensor([2, 0])}))
    assert gradient is not None
    assert table.weight.grad is not None
    assert table.weight.grad.is_sparse
    assert torch.equal(table.weight.grad.to_dense(), gradient.to_dense()[:, [2, 0]])
    assert torch.equal(table.weight, before[:, [2, 0]])
    assert torch.equal(optimizer.state[table.weight]["exp_avg"], slots["exp_avg"][:, [2, 0]])
    optimizer.step()
    assert not torch.equal(table.weight, before[:, [2, 0]])


def test_groups_schedulers_and_names_go_on() -> None:
    net = make_net()
    optimizer = optim.AdamW(
        [{"params": list(net.named_parameters())[:5]}, {"params": list(net.named_parameters())[5:]}]
    )
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    train_step(net, 0, optimizer)
    scheduler.step()
    dicts, lists = list(optimizer.param_groups), [group["params"] for group in optimizer.param_groups]
    names = [list(group["param_names"]) for group in optimizer.param_groups]
    rate = optimizer.param_groups[0]["lr"]
    with Transaction(net, [optimizer]) as edit:
        prune(edit)
    assert all(now is was for now, was in zip(optimizer.param_groups, dicts, strict=True))
    assert all(group["params"] is was for group, was in zip(optimizer.param_groups, lists, strict=True))
    assert [group["param_names"] for group in optimizer.param_groups] == names
    parameters = dict(net.named_parameters())
    for group in optimizer.param_groups:
        assert all(parameters[n] is p for n, p in zip(group["param_names"], group["params"], strict=True))
    train_step(net, 1, optimizer)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == scheduler.get_last_lr()[0] < rate
    saved = optimizer.state_dict()
    again = optim.AdamW(net.parameters())
    again.load_state_dict({**saved, "param_groups": [{**again.state_dict()["param_groups"][0]}]})
    assert len(again.state) == len(optimizer.state)


def test_capturable_steps_and_tensor_rates_stay_what_they_are() -> None:
    net = make_net()
    rate = torch.tensor(0.01)
    optimizer = optim.Adam(net.parameters(), lr=rate, fused=True)
    train_step(net, 0, optimizer)
    with Transaction(net, [optimizer]) as edit:
        prune(edit)
    assert optimizer.param_groups[0]["lr"] is rate
    steps = [state["step"] for state in optimizer.state.values()]
    assert all(isinstance(step, Tensor) and step.dim() == 0 and step.item() == 1 for step in steps)
    train_step(net, 1, optimizer)
    assert {state["step"].item() for state in optimizer.state.values()} == {2}


def test_lbfgs_is_refused_only_with_a_history() -> None:
    net = make_net()
    optimizer = optim.LBFGS(net.parameters(), max_iter=2)
    Transaction(net, [optimizer])

    def closure() -> Tensor:
        return train_step(net, 0)

    optimizer.step(closure)
    with pytest.raises(EditError, match="LBFGS keeps a history"):
        Transaction(net, [optimizer])


def test_an_optimizer_of_another_model_is_refused() -> None:
    with pytest.raises(EditError, match="holds none of its parameters"):
        Transaction(make_net(), [optim.SGD(make_net().parameters())])
